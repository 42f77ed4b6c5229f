"""The Segment Editor effect behind its thin outer file: panel, tools, drawing, preview."""

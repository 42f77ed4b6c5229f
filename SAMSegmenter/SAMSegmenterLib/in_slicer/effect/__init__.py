"""The Segment Editor effect behind its thin outer file: panel, tools, marks, preview."""

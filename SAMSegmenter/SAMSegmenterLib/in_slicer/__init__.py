"""All that knows Slicer: the Segment Editor effect, and the module that sets it up."""

"""Setting up in Slicer: what is needed and missing, installing it on request, and a test that it works."""

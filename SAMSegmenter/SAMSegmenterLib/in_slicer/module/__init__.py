"""Sets up Slicer: shows what is missing, installs it on request, and tests that it works."""

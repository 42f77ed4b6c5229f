"""SAMSegmenter: mark an organ or lesion on one slice, get it in the whole volume.

The library knows neither Slicer, Qt, VTK nor a web page: see the layers in the README.
"""

__version__ = "0.1.0"

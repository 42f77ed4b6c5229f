"""Sphinx: the pages of this folder, and the API from its docstrings. `make docs` builds them into build/docs."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "SAMSegmenter"))

import SAMSegmenterLib  # noqa: E402

project = "SAMSegmenter"
author = "SAMSegmenter contributors"
copyright = author
version = release = SAMSegmenterLib.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"undoc-members": True}
default_role = "code"  # docstrings put names in single backticks
napoleon_use_ivar = True  # so that attributes are not described twice

html_theme = "alabaster"
html_theme_options = {"description": "One slice marked, the whole volume segmented", "page_width": "1100px"}

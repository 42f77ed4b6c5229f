"""Volumes, and the slices, windows and views through which networks see them."""

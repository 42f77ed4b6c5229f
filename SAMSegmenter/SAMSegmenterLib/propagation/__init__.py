"""Carries masks from seeds through the other slices, by an unmodified SAM 2 network."""

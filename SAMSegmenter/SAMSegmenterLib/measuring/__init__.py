"""Measurements of objects for a report: volumes, diameters, and the parts that do not touch."""

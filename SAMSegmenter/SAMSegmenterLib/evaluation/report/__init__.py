"""Turns records into tables, plots and a page."""

"""From records to tables, plots and a page."""

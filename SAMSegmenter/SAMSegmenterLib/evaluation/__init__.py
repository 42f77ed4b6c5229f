"""Measures how good a model is on volumes with reference masks: simulated users, metrics, tasks and a report."""

"""Turns the prompts of a slice into a mask on it."""

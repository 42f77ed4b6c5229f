"""From the prompts of a slice to a mask on it."""

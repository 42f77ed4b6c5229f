"""The wishes of users for a segment: marks, prompts and keyframes, in memory and in files."""

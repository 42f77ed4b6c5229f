"""User input about segments: marks, prompts and keyframes, in memory and in files."""

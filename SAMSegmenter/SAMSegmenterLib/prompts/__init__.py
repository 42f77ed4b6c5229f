"""What users say about a segment: marks, prompts and keyframes, in memory and in files."""

"""What users say of a segment: marks, prompts and keyframes, in memory and in files."""

"""One segmentation: prompts in, masks out, nothing lost."""

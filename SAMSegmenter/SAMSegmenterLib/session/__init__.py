"""One segmentation: from prompts to masks, with undo, saving and work in the background."""

"""Evidence of an object in the image itself: its intensities, its appearance, and labels carried from slice to slice."""

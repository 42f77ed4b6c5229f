"""What this very image says about an object: its intensities, its appearance, and labels carried from slice to slice."""

"""What this very image says of an object: its intensities, and labels carried from slice to slice."""

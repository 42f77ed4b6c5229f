"""Files of weights, read without trusting their content."""

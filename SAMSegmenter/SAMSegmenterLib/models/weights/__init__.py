"""Files of weights, read without trust in what they hold."""

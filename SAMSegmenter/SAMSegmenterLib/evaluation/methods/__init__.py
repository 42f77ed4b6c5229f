"""The methods that are compared: this product, what it is built on, and what users have without it."""

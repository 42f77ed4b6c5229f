"""Trains the small included network, from scratch or further, on synthetic volumes made while it trains."""

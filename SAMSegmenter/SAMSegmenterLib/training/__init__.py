"""Trains the small network that ships, from scratch or further, on synthetic volumes made while it trains."""

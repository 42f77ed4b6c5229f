"""The heart: stepping an unmodified SAM 2 network through the slices of a volume held in memory."""

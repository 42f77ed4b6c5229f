"""SAM 2 on a device: the same answers as upstream's, faster and with less memory."""

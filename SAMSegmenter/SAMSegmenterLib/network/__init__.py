"""SAM 2 on a device: upstream's answers, faster and with less memory."""

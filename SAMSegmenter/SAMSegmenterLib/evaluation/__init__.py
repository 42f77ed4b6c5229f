"""How good a network is on volumes with reference masks: simulated users, metrics, baselines and a report."""

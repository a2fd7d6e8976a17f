"""Benchmarks: every claim about speed, with a ratio against a floor or a peer of the same run."""

"""Scores: numbers and texts that are measured from the bytes of a stored video."""

"""Scores: figures and words about a stored video, taken from its bytes."""

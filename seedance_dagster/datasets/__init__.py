"""Stored videos and datasets, for the code that uses them."""

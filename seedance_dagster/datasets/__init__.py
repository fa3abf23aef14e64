"""Stored videos, as those who use them load them."""

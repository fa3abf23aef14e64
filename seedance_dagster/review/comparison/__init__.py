"""Blind comparisons: pairs of videos of two variants, and what people preferred."""

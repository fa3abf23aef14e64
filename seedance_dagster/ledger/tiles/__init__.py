"""Tiles of the gallery: the videos and prompts that a filter chooses, page by page."""

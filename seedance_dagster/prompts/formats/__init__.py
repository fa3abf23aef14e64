"""Readers of prompt files, one for each format: from bytes to a table of rows."""

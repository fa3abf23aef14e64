"""Datasets that are written to a folder or to S3: the accepted videos of a prompt set."""

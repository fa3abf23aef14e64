"""Revisions of the schema, each in a file that is never changed after its release."""

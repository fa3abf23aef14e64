"""Comparison of the ledger, the vendor's account, Dagster's events and S3."""

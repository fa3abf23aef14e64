"""Restoration of a ledger: from the vendor's history, the manifests in S3 and Dagster's events."""

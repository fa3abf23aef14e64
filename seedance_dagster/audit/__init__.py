"""Whether four books agree: the ledger, the vendor's account, Dagster's materializations and S3."""

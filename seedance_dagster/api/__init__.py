"""The vendor: wire models, client, error tree, prices and limits. Knows nothing of Dagster, S3 or SQL."""

"""Dagster's side: resources, assets, the job, the sensor, metadata."""

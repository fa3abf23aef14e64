"""What the team had before: its executor, and its own S3."""

from __future__ import annotations

import dagster as dg
from dagster_aws.s3 import S3Resource


@dg.definitions
def platform() -> dg.Definitions:
    """Return what all assets of the project share."""
    return dg.Definitions(executor=dg.multiprocess_executor, resources={"s3": S3Resource()})

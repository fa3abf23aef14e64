"""The executor and the S3 resource that the team had before."""

from __future__ import annotations

import dagster as dg
from dagster_aws.s3 import S3Resource


@dg.definitions
def platform() -> dg.Definitions:
    """Return the executor and the resource that all assets of the project share."""
    return dg.Definitions(executor=dg.multiprocess_executor, resources={"s3": S3Resource()})

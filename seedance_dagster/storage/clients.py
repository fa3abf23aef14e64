"""Creation of S3 clients, with settings that cannot be used reported in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from seedance_dagster.storage.errors import StoreError, describe_failure

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def create_client(factory: Callable[[], S3Client]) -> S3Client:
    """Create an S3 client; raise `StoreError` for settings that boto3 cannot use."""
    try:
        return factory()
    except (BotoCoreError, ValueError, OSError) as error:  # OSError: a program or file of a profile
        words = describe_failure(error, "S3 cannot be reached with these settings")
        hint = "; AWS_ENDPOINT_URL_S3 must begin with http:// or https://"
        raise StoreError(words + (hint if "Invalid endpoint" in words else "")) from None

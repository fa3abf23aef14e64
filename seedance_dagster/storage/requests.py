"""The parameters of every request to the store: encryption, access, storage class, tags, and who pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_READS = ("GetObject", "HeadObject", "ListObjectsV2", "DeleteObject")


@dataclass(frozen=True)
class RequestOptions:
    """The options that every request carries; an empty one leaves the store's default.

    Attributes:
        addressing: "virtual" for the bucket in the host's name, "path" for it in the path, or "auto".
        encryption: The server-side encryption of written objects.
        kms_key: The key of that encryption.
        acl: A canned ACL.
        storage_class: The storage class, such as "STANDARD_IA".
        tags: The tags of written objects, such as "team=ads&project=spring".
        requester_pays: Agree to pay for requests to a bucket of another account.
    """

    addressing: str = "auto"
    encryption: str = ""
    kms_key: str = ""
    acl: str = ""
    storage_class: str = ""
    tags: str = ""
    requester_pays: bool = False

    def apply(self, client: S3Client) -> None:
        """Make a client send the options with every request that takes them."""
        pays = {"RequestPayer": "requester"} if self.requester_pays else {}
        common = pays | _set(
            ServerSideEncryption=self.encryption,
            SSEKMSKeyId=self.kms_key,
            ACL=self.acl,
            StorageClass=self.storage_class,
        )
        added = dict.fromkeys(_READS, pays) | {
            "CopyObject": common,  # the copy has the tags of its source
            "PutObject": common | _set(Tagging=self.tags),
        }
        for operation, parameters in added.items():
            if parameters:
                client.meta.events.register(f"before-parameter-build.s3.{operation}", _adding(parameters))
        if self.addressing != "auto":
            choose = _addressing(path=self.addressing == "path")
            client.meta.events.register("before-endpoint-resolution.s3", choose)


def _set(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


def _adding(parameters: Mapping[str, str]) -> Callable[..., None]:
    def add(params: dict[str, Any], **_: object) -> None:
        params.update(parameters)

    return add


def _addressing(*, path: bool) -> Callable[..., None]:
    def choose(builtins: dict[str, Any], **_: object) -> None:
        builtins["AWS::S3::ForcePathStyle"] = path

    return choose

"""Refusals and lost replies of S3, by boto3's own event hook, in a worker's process."""

from __future__ import annotations

import random
from typing import Any

from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import EndpointConnectionError

from seedance_dagster.storage.s3 import VideoStore

_REFUSALS = {503: "SlowDown", 500: "InternalError", 403: "AccessDenied"}


def trouble_s3(share: float) -> None:
    """Make a share of all S3 requests fail."""
    prepare = VideoStore.__init__

    def prepared(self: VideoStore, client: Any, *args: Any, **kwargs: Any) -> None:
        client.meta.events.register("before-send.s3", lambda request, **_: _fail(request, share))
        prepare(self, client, *args, **kwargs)

    VideoStore.__init__ = prepared


def _fail(request: AWSRequest, share: float) -> AWSResponse | None:
    if random.random() >= share:
        return None
    status = random.choice((None, *_REFUSALS))
    if status is None:
        raise EndpointConnectionError(endpoint_url="the S3 server")
    return AWSResponse(request.url, status, {}, _Body(_REFUSALS[status]))


class _Body:
    def __init__(self, code: str) -> None:
        self._rest = f"<Error><Code>{code}</Code><Message>on purpose</Message></Error>".encode()

    def stream(self, *_: object, **__: object) -> Any:
        yield self._rest

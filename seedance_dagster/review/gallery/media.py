"""Videos and posters: by a link to S3 that expires, or through the gallery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from starlette.responses import RedirectResponse, Response, StreamingResponse

from seedance_dagster.ledger.order import Order, State
from seedance_dagster.storage.errors import StoreError, error_code
from seedance_dagster.storage.reference_objects import presigned_link
from seedance_dagster.storage.s3 import VideoStore

_LIVES_S = 3600
_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18}-\d{1,18}|\d{1,18}-)")
_TYPES = {
    "video": "video/mp4",
    "preview": "video/mp4",
    "poster": "image/jpeg",
    "manifest": "application/json",
}
KINDS = tuple(_TYPES)


def played_kind(order: Order) -> str:
    """Return the kind of file that a page plays: the preview if there is one, else the video itself."""
    return "video" if order.preview_key is None else "preview"


def media_origin(store: VideoStore) -> str:
    """Return the origin of links to S3, such as `https://b.s3.amazonaws.com`; empty if there are none."""
    try:
        link = urlsplit(presigned_link(store.client, store.bucket, "key", expires_s=60))
    except StoreError:
        return ""
    return f"{link.scheme}://{link.netloc}"


def media_answer(
    store: VideoStore, order: Order, kind: str, *, stream: bool, byte_range: str = ""
) -> Response | None:
    """Return a stored object of an order; None if there is none.

    Args:
        kind: "video", "preview", "poster" or "manifest".
        stream: Send it from here, and not by a link to S3.
        byte_range: The header `Range` of the request.
    """
    key = getattr(order, f"{kind}_key")
    if order.state is not State.STORED or key is None:
        return None
    if not stream:
        try:
            link = presigned_link(store.client, store.bucket, key, expires_s=_LIVES_S)
        except StoreError:
            pass  # as with credentials that cannot sign
        else:
            return RedirectResponse(link, HTTPStatus.FOUND, {"Cache-Control": "no-store"})
    return _streamed(store, key, _TYPES[kind], byte_range)


def _streamed(store: VideoStore, key: str, content_type: str, byte_range: str) -> Response:
    options: dict[str, Any] = {"Range": byte_range} if _RANGE.fullmatch(byte_range) else {}
    try:
        reply = store.client.get_object(Bucket=store.bucket, Key=key, **options)
    except ClientError as error:
        code = error_code(error)
        if code in ("InvalidRange", "416"):
            return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        return Response(f"S3 answers {code}\n", HTTPStatus.BAD_GATEWAY, media_type="text/plain")
    except (BotoCoreError, ValueError, RecursionError):  # a header that is none, or redirects without end
        return Response("S3 does not answer\n", HTTPStatus.BAD_GATEWAY, media_type="text/plain")
    headers = {
        "Accept-Ranges": "bytes",
        # The bytes at an address never change.
        "Cache-Control": "private, max-age=86400, immutable",
    }
    if "ContentLength" in reply:  # some stores and proxies leave it out
        headers["Content-Length"] = str(reply["ContentLength"])
    status = HTTPStatus.OK
    if "ContentRange" in reply and options:
        headers["Content-Range"], status = reply["ContentRange"], HTTPStatus.PARTIAL_CONTENT
    return StreamingResponse(_chunks(reply["Body"]), status, headers, content_type)


def _chunks(body: Any) -> Iterator[bytes]:
    try:
        yield from body.iter_chunks(_CHUNK)
    finally:
        body.close()

"""The bodies of POST requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.review.gallery.access import CSRF_HEADER
from seedance_dagster.review.gallery.options import GalleryOptions

_MAX_BODY = 20_000

ReviewerName = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$")
]
Message = TypeVar("Message", bound=BaseModel)


async def read_post(request: Request, options: GalleryOptions) -> bytes:
    """Return the body that a page of the gallery sent.

    Raises:
        HTTPException: The gallery is read-only, or another website sent it.
    """
    check_review(options)
    if CSRF_HEADER not in request.headers:
        raise HTTPException(HTTPStatus.FORBIDDEN, "refused: the gallery's own page did not send this")
    return await read_body(request)


def check_review(options: GalleryOptions) -> None:
    """Raise `HTTPException` if the gallery is read-only."""
    if not options.review:
        raise HTTPException(
            HTTPStatus.FORBIDDEN, "this gallery is read-only: start it with --review to give verdicts"
        )


async def read_body(request: Request) -> bytes:
    """Return the body of a request; raise `HTTPException` if it is too long."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_BODY:
            raise HTTPException(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"too long; allowed are {_MAX_BODY} bytes"
            )
    return content


def read_message(kind: type[Message], body: bytes) -> Message:
    """Read the message of a page; raise `VerdictError` if it is not valid."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the message"
        raise VerdictError(f"{field}: {first['msg']}. Nothing was recorded") from None

"""Reference files on the file host, for clients that probe references before they order."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal, InvalidOperation

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.files import file_call
from seedance_dagster.emulator.responses import Refusal, html_page, invalid, refused
from seedance_dagster.emulator.task_types import RATIOS
from seedance_dagster.emulator.validation import DEFAULT_RATIO, DEFAULT_VIDEO_S

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
}
_MAX_SECONDS = 120
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII)


@file_call
async def get_reference(request: Request, _: Emulator) -> Response:
    """Answer GET /references/<name>.<ext>?seconds=&ratio=."""
    from seedance_dagster.emulator.samples import sample_file  # noqa: PLC0415  the encoder loads slowly

    name, _, extension = request.path_params["name"].rpartition(".")
    extension = extension.lower()
    if extension not in MEDIA_TYPES:
        return html_page(404)
    try:
        duration_ms, ratio = _seconds(request) * 1000, _ratio(request)
    except Refusal as refusal:
        return refused(refusal, in_200=False)
    file = await run_in_threadpool(sample_file, name, extension, duration_ms=int(duration_ms), ratio=ratio)
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{hashlib.sha256(file).hexdigest()[:32]}"'}
    part = _part(request.headers.get("Range"), len(file))
    if part is None:
        return Response(file, media_type=MEDIA_TYPES[extension], headers=headers)
    if not part:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{len(file)}"})
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(file)}"
    return Response(
        file[part.start : part.stop], status_code=206, media_type=MEDIA_TYPES[extension], headers=headers
    )


ROUTES = [Route("/references/{name}", get_reference)]


def _seconds(request: Request) -> Decimal:
    text = request.query_params.get("seconds", str(DEFAULT_VIDEO_S))
    try:
        seconds = Decimal(text)
    except InvalidOperation:
        seconds = Decimal("NaN")
    if not (seconds.is_finite() and Decimal("0.001") <= seconds <= _MAX_SECONDS):
        raise invalid(f"seconds must be a number from 0.001 to {_MAX_SECONDS}")
    return seconds


def _ratio(request: Request) -> str:
    ratio = request.query_params.get("ratio", DEFAULT_RATIO)
    if ratio not in RATIOS:
        raise invalid(f"ratio must be one of {', '.join(RATIOS)}")
    return ratio


def _part(header: str | None, size: int) -> range | None:
    """Return the bytes that a Range header selects, empty if they are outside; None for the whole file."""
    match = _RANGE.fullmatch(header or "")
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    last = min(size - 1, int(match[2])) if match[2] else size - 1
    return range(int(match[1]), last + 1)

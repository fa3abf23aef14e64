"""The vendor's file service: a file in, a link out that lives for a day."""

from __future__ import annotations

import base64
import binascii
import io
import uuid
from pathlib import PurePosixPath
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.files import file_call
from seedance_dagster.emulator.reference_files import MEDIA_TYPES
from seedance_dagster.emulator.responses import Refusal, envelope, html_page, invalid
from seedance_dagster.emulator.upload_store import UPLOAD_PATH, StoredUpload
from seedance_dagster.emulator.vendor_api import read_json, vendor_call

_MAX_BYTES = 10 * 1024 * 1024
_WITH_LENGTH = ("mp4", "mov", "mp3", "wav")


@vendor_call("upload")
async def upload(request: Request, emulator: Emulator) -> Response:
    """Answer POST /api/ephemeral_resource."""
    if not emulator.settings.uploads_allowed:
        raise Refusal(403, "not allowed to upload", kind="upload")
    name, content = _read(read_json(await request.body()))
    extension = PurePosixPath(name).suffix.lower().removeprefix(".")
    if extension not in MEDIA_TYPES:
        raise invalid(f"file_name must end in one of {', '.join(MEDIA_TYPES)}")
    seconds = await run_in_threadpool(_seconds, content) if extension in _WITH_LENGTH else None
    stored = StoredUpload(name=f"{uuid.uuid4()}.{extension}", uploaded_at=emulator.vendor.now())
    emulator.uploads.add(stored, content)
    root = (emulator.settings.files_url or str(request.base_url)).rstrip("/")
    measured = "" if seconds is None else f"?seconds={seconds:g}"
    return envelope({"url": f"{root}{UPLOAD_PATH}/{stored.name}{measured}"})


@file_call
async def get_upload(request: Request, emulator: Emulator) -> Response:
    """Answer GET /uploads/<token>.<ext>."""
    name = request.path_params["name"]
    stored = emulator.uploads.find(name, emulator.vendor.now(), emulator.settings.upload_seconds)
    if stored is None:
        return html_page(404)
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(emulator.uploads.content(stored), media_type=media_type)


ROUTES = [
    Route("/api/ephemeral_resource", upload, methods=["POST"]),
    Route(UPLOAD_PATH + "/{name}", get_upload),
]


def _read(body: Any) -> tuple[str, bytes]:
    if not isinstance(body, dict) or not all(
        isinstance(body.get(name), str) for name in ("file_name", "file_data")
    ):
        raise invalid("file_name and file_data are required and must be text")
    try:
        content = base64.b64decode(body["file_data"], validate=True)
    except (binascii.Error, ValueError):
        raise invalid("file_data must be base64") from None
    if not content:
        raise invalid("the file is empty")
    if len(content) > _MAX_BYTES:
        raise Refusal(
            413, f"the file has {len(content)} bytes, at most {_MAX_BYTES} are allowed", kind="upload"
        )
    return body["file_name"], content


def _seconds(content: bytes) -> float | None:
    """Return the length of a video or audio; None for a file that is neither."""
    import av  # noqa: PLC0415  loads slowly

    try:
        with av.open(io.BytesIO(content), "r") as container:
            return None if container.duration is None else round(container.duration / av.time_base, 3)
    except (av.FFmpegError, ValueError):
        return None

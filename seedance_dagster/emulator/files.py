"""The file host: output links without a key, and the faults of downloads."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from seedance_dagster.emulator.broken import broken
from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.fault_table import Stage
from seedance_dagster.emulator.record import Link, TaskRecord
from seedance_dagster.emulator.responses import DroppedResponse, PartialBody, carries_key, html_page
from seedance_dagster.emulator.view import link_is_alive
from seedance_dagster.emulator.watermarks import OUTPUT_PATH

_MP4 = "video/mp4"
_CHUNK_BYTES = 64 * 1024
_SLOW_STEPS = 20
_GARBAGE = hashlib.sha512(b"not a video").digest() * 256
_WITHOUT_FILE: dict[str | None, Callable[[str], Response]] = {
    "redirect": lambda here: RedirectResponse(f"{here}?again=1", 302),
    "redirect-loop": lambda here: RedirectResponse(here, 302),
    "redirect-file": lambda _: RedirectResponse("file:///etc/hostname", 302),
    "redirect-private": lambda _: RedirectResponse("http://169.254.169.254/latest/meta-data/", 302),
    "download-500": lambda _: html_page(500),
    "html": lambda _: html_page(),
    "empty": lambda _: Response(b"", media_type=_MP4),
    "garbage": lambda _: Response(_GARBAGE, media_type=_MP4),
}


Handler = Callable[[Request, Emulator], Awaitable[Response]]


def file_call(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Decorate a handler as a call of the file host: count it, watch for the API key, apply outages."""

    @functools.wraps(handler)
    async def call(request: Request) -> Response:
        emulator: Emulator = request.app.state.emulator
        now = emulator.vendor.now()
        emulator.traffic.count("files", now)
        if carries_key(request, emulator.settings.api_key.get_secret_value()):
            emulator.leak(request.url.path)
        outage = emulator.traffic.outage_hits("files", now)
        return broken(outage, emulator) if outage is not None else await handler(request, emulator)

    return call


@file_call
async def get_file(request: Request, emulator: Emulator) -> Response:
    """Answer GET /ephemeral/<token>.mp4."""
    token = request.path_params["token"]
    record = emulator.vendor.links.get(token)
    if record is None:
        return html_page(404)
    if _is_dead(record, token, emulator):
        return _dead(emulator)
    fault = None
    if "again" not in request.query_params:
        fault = emulator.faults.first(Stage.DOWNLOAD, record.markers, earlier=record.downloads)
        record.downloads += request.method == "GET"
        emulator.vendor.save(record)
    return await _body(record, fault, request.url.path, emulator)


ROUTES = [Route(OUTPUT_PATH + "/{token}.mp4", get_file)]


def _is_dead(record: TaskRecord, token: str, emulator: Emulator) -> bool:
    position, link = _find(record, token)
    if link_is_alive(link, emulator.vendor.now(), emulator.settings):
        if emulator.faults.first(Stage.LINK, record.markers, earlier=position) is None:
            return False
        link.dead = True
        emulator.vendor.save(record)
    return True


def _find(record: TaskRecord, token: str) -> tuple[int, Link]:
    return next((position, link) for position, link in enumerate(record.links) if link.token == token)


def _dead(emulator: Emulator) -> Response:
    style = emulator.settings.dead_link
    if style == "empty":
        return Response(b"", media_type=_MP4)
    return html_page(404 if style == "404" else 200)


async def _body(record: TaskRecord, fault: str | None, here: str, emulator: Emulator) -> Response:
    if fault in _WITHOUT_FILE:
        return _WITHOUT_FILE[fault](here)
    clip = await emulator.clips.get(record)
    if fault == "truncated":
        return Response(clip[: len(clip) // 2], media_type=_MP4)
    if fault == "endless":
        return StreamingResponse(_endless(clip), media_type=_MP4)
    if fault == "wrong-length":
        return DroppedResponse(emulator.connections, PartialBody(_MP4, len(clip), clip[: len(clip) // 2]))
    body = _PaddedClip(clip, emulator.settings.video_bytes_at_least)
    pause = emulator.settings.slow_seconds / _SLOW_STEPS if fault == "slow" else 0
    headers = {"Content-Length": str(len(body)), "ETag": f'"{record.task_id}"'}
    return StreamingResponse(body.stream(pause), media_type=_MP4, headers=headers)


class _PaddedClip:
    """A clip, padded to a minimum size by an mp4 `free` box that is never whole in memory."""

    def __init__(self, clip: bytes, min_bytes: int) -> None:
        padding = max(0, min_bytes - len(clip))
        self._clip = clip
        self._padding = max(padding, 8) if padding else 0

    def __len__(self) -> int:
        return len(self._clip) + self._padding

    async def stream(self, pause_s: float) -> AsyncIterator[bytes]:
        step = max(1, len(self) // _SLOW_STEPS) if pause_s else _CHUNK_BYTES
        for chunk in self._chunks(step):
            yield chunk
            if pause_s:
                await asyncio.sleep(pause_s)

    def _chunks(self, step: int) -> Iterator[bytes]:
        for start in range(0, len(self._clip), step):
            yield self._clip[start : start + step]
        if self._padding:
            yield (self._padding if self._padding < 2**32 else 0).to_bytes(4) + b"free"
            left = self._padding - 8
            zeros = bytes(step)
            while left > 0:
                yield zeros[:left]
                left -= step


async def _endless(clip: bytes) -> AsyncIterator[bytes]:
    yield clip
    zeros = bytes(_CHUNK_BYTES)
    while True:
        yield zeros
        await asyncio.sleep(0.002)

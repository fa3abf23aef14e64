"""A cache of rendered videos: rendered on first use, off the event loop, within a memory limit."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from seedance_dagster.emulator.record import TaskRecord
from seedance_dagster.emulator.task_types import WATERMARKED, task_types

_WORKERS = 2


class ClipCache:
    """The videos of tasks; the least recently used are evicted, and rendered again to the same bytes.

    Args:
        max_bytes: Memory limit of the cached videos.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._cached: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._rendering: dict[str, asyncio.Future[bytes]] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="emulator-render")
        self.renders = 0

    async def get(self, record: TaskRecord) -> bytes:
        """Return the mp4 of a task; concurrent callers share one rendering."""
        cached = self._cached.get(record.task_id)
        if cached is not None:
            self._cached.move_to_end(record.task_id)
            return cached
        running = self._rendering.get(record.task_id)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(self._workers, _render, record)
            self._rendering[record.task_id] = running
            running.add_done_callback(lambda done: self._store(record.task_id, done))
        # Shielded: a caller that leaves must not cancel the rendering for the others.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Stop the workers."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _store(self, task_id: str, done: asyncio.Future[bytes]) -> None:
        self._rendering.pop(task_id, None)
        if done.cancelled() or done.exception() is not None:
            return
        self.renders += 1
        self._cached[task_id] = done.result()
        self._size += len(done.result())
        while self._size > self._max_bytes:
            self._size -= len(self._cached.popitem(last=False)[1])


def _render(record: TaskRecord) -> bytes:
    from seedance_dagster.emulator.clip import render_clip  # noqa: PLC0415  encoder and fonts load slowly

    title = f"emulated | {record.task_type} | {record.mode} | {record.duration} s | {record.aspect_ratio}"
    return render_clip(
        task_id=record.task_id,
        prompt=record.prompt if record.picture is None else record.picture,
        title=title,
        duration=record.duration,
        aspect_ratio=record.aspect_ratio,
        resolution=record.resolution,
        codec=_codec(record),
        watermark=record.task_type.endswith(WATERMARKED),
    )


def _codec(record: TaskRecord) -> str:
    model = task_types().get(record.task_type)
    return "h264" if model is None else model.codec

"""Rendered videos: drawn when first asked for, off the event loop, and kept within a bound."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from seedance_dagster.emulator.record import TaskRecord

_WORKERS = 2


class ClipCache:
    """The videos of tasks, least recently fetched ones dropped; a dropped one is drawn again, byte for byte.

    Args:
        most_bytes: Memory the kept videos may take.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._rendering: dict[str, asyncio.Future[bytes]] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="emulator-render")
        self.renders = 0

    async def get(self, record: TaskRecord) -> bytes:
        """The mp4 of a task; several askers at once share one rendering."""
        kept = self._kept.get(record.task_id)
        if kept is not None:
            self._kept.move_to_end(record.task_id)
            return kept
        running = self._rendering.get(record.task_id)
        if running is None:
            running = asyncio.get_running_loop().run_in_executor(self._workers, _render, record)
            self._rendering[record.task_id] = running
            running.add_done_callback(lambda done: self._keep(record.task_id, done))
        # Shielded: one asker who leaves must not cancel the rendering of the others.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Let the workers end."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _keep(self, task_id: str, done: asyncio.Future[bytes]) -> None:
        self._rendering.pop(task_id, None)
        if done.cancelled() or done.exception() is not None:
            return
        self.renders += 1
        self._kept[task_id] = done.result()
        self._size += len(done.result())
        while self._size > self._most_bytes:
            self._size -= len(self._kept.popitem(last=False)[1])


def _render(record: TaskRecord) -> bytes:
    from seedance_dagster.emulator.clip import render_clip  # noqa: PLC0415  # encoder and fonts load slowly

    title = f"emulated | {record.task_type} | {record.mode} | {record.duration} s | {record.aspect_ratio}"
    return render_clip(
        task_id=record.task_id,
        prompt=record.prompt,
        title=title,
        duration=record.duration,
        aspect_ratio=record.aspect_ratio,
    )

"""One running emulator, assembled from its parts."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request

from seedance_dagster.emulator.clip_cache import ClipCache
from seedance_dagster.emulator.faults import FaultInjector
from seedance_dagster.emulator.record import Link, TaskRecord
from seedance_dagster.emulator.responses import Connections
from seedance_dagster.emulator.state_file import StateFile
from seedance_dagster.emulator.traffic import Traffic
from seedance_dagster.emulator.upload_store import UploadStore
from seedance_dagster.emulator.vendor import Vendor
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.emulator.view import link_is_alive, task_json
from seedance_dagster.emulator.watermarks import OUTPUT_PATH


class Emulator:
    """A vendor with its faults, files and counters, available as `app.state.emulator`.

    Raises:
        StateError: The state folder cannot be used.
    """

    def __init__(self, settings: EmulatorSettings, clock: Callable[[], datetime]) -> None:
        rng = random.Random(settings.seed)
        self.faults = FaultInjector(rng)
        self.state = StateFile(settings.state_dir)
        self.uploads = UploadStore(self.state, settings.state_dir)
        self.vendor = Vendor(
            settings.model_copy(),
            clock=clock,
            state=self.state,
            faults=self.faults,
            uploads=self.uploads,
            rng=rng,
        )
        self.traffic = Traffic(leaks=self.state.note("leaks", []))
        self.clips = ClipCache(settings.cache_bytes)
        self.connections = Connections()

    @property
    def settings(self) -> EmulatorSettings:
        """The present behaviour of the vendor."""
        return self.vendor.settings

    def change(self, changes: dict[str, Any]) -> EmulatorSettings:
        """Change settings while running; `points` sets the points left on the account.

        Raises:
            SettingsError: A setting is invalid or fixed; nothing was changed.
        """
        self.vendor.settings = self.settings.changed(changes)
        if "points" in changes:
            self.vendor.grant(self.settings.points)
        return self.settings

    def show(self, record: TaskRecord, request: Request, *, polled: bool = False) -> dict[str, Any]:
        """Return the task JSON, with links under the file host's URL or the request's own.

        Args:
            record: The task.
            request: The call to answer.
            polled: True for a GET; the answer to a POST shows the task as it was created.
        """
        now = self.vendor.now() if polled else record.created_at
        record.gets += polled
        record.gets_after_end += polled and record.settled
        return self.as_json(record, now=now, root=self.settings.files_url or str(request.base_url))

    def as_json(self, record: TaskRecord, *, now: datetime, root: str) -> dict[str, Any]:
        """Return the task JSON as of a time, with links under a URL."""

        def link_of(task: TaskRecord) -> str:
            return f"{root.rstrip('/')}{OUTPUT_PATH}/{self._link(task, now).token}.mp4"

        return task_json(record, now=now, settings=self.settings, link_of=link_of)

    def newest_link(self, record: TaskRecord, request: Request) -> str | None:
        """Return the URL of the newest link to a task's output; None before there is one."""
        root = (self.settings.files_url or str(request.base_url)).rstrip("/")
        return f"{root}{OUTPUT_PATH}/{record.links[-1].token}.mp4" if record.links else None

    def leak(self, path: str) -> None:
        """Record that the API key was sent to the file host."""
        self.traffic.leaked(path, self.vendor.now())
        self.state.save(notes={"leaks": self.traffic.leaks})

    def close(self) -> None:
        """Stop rendering and close the state file."""
        self.clips.close()
        self.state.close()

    def _link(self, record: TaskRecord, now: datetime) -> Link:
        newest = record.links[-1] if record.links else None
        if newest is not None and link_is_alive(newest, now, self.settings):
            return newest
        link = Link(token=str(uuid.uuid4()), issued_at=now)
        record.links.append(link)
        self.vendor.links[link.token] = record
        self.vendor.save(record)
        return link

"""Uploaded files, in a folder or in memory, and the references that lead to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pydantic import BaseModel

from seedance_dagster.emulator.state_file import StateFile

UPLOAD_PATH = "/uploads"


class StoredUpload(BaseModel):
    """An uploaded file."""

    name: str
    uploaded_at: datetime


class UploadStore:
    """The files of the file service.

    Args:
        state: Keeps the list of files across restarts.
        folder: Keeps the files; None keeps them in memory.
    """

    def __init__(self, state: StateFile, folder: Path | None) -> None:
        self._state = state
        self._folder = None if folder is None else folder / "uploads"
        self._content: dict[str, bytes] = {}
        known = map(StoredUpload.model_validate, state.note("uploads", []))
        self._known = {stored.name: stored for stored in known}

    def add(self, stored: StoredUpload, content: bytes) -> None:
        """Keep a file."""
        if self._folder is None:
            self._content[stored.name] = content
        else:
            self._folder.mkdir(exist_ok=True)
            (self._folder / stored.name).write_bytes(content)
        self._known[stored.name] = stored
        self._state.save(
            notes={"uploads": [upload.model_dump(mode="json") for upload in self._known.values()]}
        )

    def find(self, name: str, now: datetime, lives_s: float) -> StoredUpload | None:
        """Return a file that still lives; None for any other name."""
        stored = self._known.get(name)
        alive = stored is not None and now - stored.uploaded_at < timedelta(seconds=lives_s)
        return stored if alive else None

    def content(self, stored: StoredUpload) -> bytes:
        """Return the bytes of a file."""
        if self._folder is None:
            return self._content[stored.name]
        return (self._folder / stored.name).read_bytes()

    def lost(self, links: Iterable[str], now: datetime, lives_s: float) -> bool:
        """Return True when a link leads to an uploaded file that is gone."""
        names = (PurePosixPath(path) for path in map(_path, links))
        return any(
            str(name.parent) == UPLOAD_PATH and self.find(name.name, now, lives_s) is None for name in names
        )


def _path(link: str) -> str:
    return urlsplit(link).path

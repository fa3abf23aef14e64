"""The state that survives a restart: tasks, account and counters, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedance_dagster.emulator.record import TaskRecord

_FORMAT = 1


class StateError(RuntimeError):
    """The state folder cannot be used; the message says why and what to do."""


class StateFile:
    """The state of an emulator, in a folder or, without one, in memory.

    Args:
        folder: The folder of the file; created if missing.

    Raises:
        StateError: The folder cannot be used, is in use, or was written by another version.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        target = ":memory:"
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                target = str(folder / "emulator.sqlite")
            self._db = sqlite3.connect(target, isolation_level=None, check_same_thread=False, timeout=1)
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"cannot keep state in {folder}: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            hint = "another emulator may be using it: stop that one or choose another folder"
            raise StateError(f"cannot keep state in {folder}: {error} ({hint})") from None
        if self.note("format", _FORMAT) != _FORMAT:
            self.close()
            raise StateError(f"the state in {folder} was written by another version: delete the folder")
        self.save(notes={"format": _FORMAT})

    def save(self, tasks: Iterable[TaskRecord] = (), notes: Mapping[str, Any] | None = None) -> None:
        """Write tasks and notes in one transaction."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.executemany(
                "INSERT INTO task (id, number, doc) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
                [(task.task_id, task.number, task.model_dump_json()) for task in tasks],
            )
            cursor.executemany(
                "INSERT INTO note (name, doc) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET doc = excluded.doc",
                [(name, json.dumps(value)) for name, value in (notes or {}).items()],
            )
            cursor.execute("COMMIT")

    def tasks(self) -> list[TaskRecord]:
        """Return all tasks, oldest first.

        Raises:
            StateError: A task cannot be read.
        """
        rows = self._db.execute("SELECT doc FROM task ORDER BY number").fetchall()
        try:
            return [TaskRecord.model_validate_json(doc) for (doc,) in rows]
        except ValidationError:
            raise StateError(f"the state in {self._folder} cannot be read: delete the folder") from None

    def note(self, name: str, default: Any) -> Any:
        """Return a note, or the default when there is none."""
        row = self._db.execute("SELECT doc FROM note WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def notes(self, prefix: str) -> dict[str, Any]:
        """Return all notes whose name starts with a prefix, by the rest of their name."""
        # Compared in Python: SQL would end a prompt at its first NUL.
        rows = self._db.execute("SELECT name, doc FROM note")
        return {name.removeprefix(prefix): json.loads(doc) for name, doc in rows if name.startswith(prefix)}

    def close(self) -> None:
        """Close the file; saved state is safe even if this is never called."""
        self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, number INTEGER, doc TEXT NOT NULL)"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, doc TEXT NOT NULL)")

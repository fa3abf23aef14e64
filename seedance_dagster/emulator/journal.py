"""What survives a restart: tasks, the account and the counters, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedance_dagster.emulator.record import TaskRecord

FORMAT = 1


class StateError(RuntimeError):
    """The state folder cannot be used; the message says why and what to do."""


class Journal:
    """Keeps what the vendor must not forget; without a folder it keeps it in memory.

    Args:
        folder: Where the file lives; made if missing.

    Raises:
        StateError: when the folder cannot be used, another emulator uses it, or its format is another.
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
            hint = "another emulator may be using it; stop that one or name another folder"
            raise StateError(f"cannot keep state in {folder}: {error} ({hint})") from None
        if self.recall("format", FORMAT) != FORMAT:
            self.close()
            raise StateError(f"the state in {folder} was written by another version; delete the folder")
        self.save(notes={"format": FORMAT})

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
        """All tasks, oldest first.

        Raises:
            StateError: when a row cannot be read.
        """
        rows = self._db.execute("SELECT doc FROM task ORDER BY number").fetchall()
        try:
            return [TaskRecord.model_validate_json(doc) for (doc,) in rows]
        except ValidationError:
            raise StateError(f"the state in {self._folder} cannot be read; delete the folder") from None

    def recall(self, name: str, default: Any) -> Any:
        """A note, or the default when there is none."""
        row = self._db.execute("SELECT doc FROM note WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def recall_all(self, prefix: str) -> dict[str, Any]:
        """All notes whose name starts so, by the rest of their name."""
        # Compared here and not in SQL, where a prompt would end at its first NUL.
        rows = self._db.execute("SELECT name, doc FROM note")
        return {name.removeprefix(prefix): json.loads(doc) for name, doc in rows if name.startswith(prefix)}

    def close(self) -> None:
        """Close the file; what was saved is there whether this is called or not."""
        self._db.close()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, number INTEGER, doc TEXT NOT NULL)"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, doc TEXT NOT NULL)")

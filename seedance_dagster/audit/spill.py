"""A temporary file for values that are read whole and compared in parts."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Spill(Generic[T]):
    """Values by key, many to a key, in a temporary file that vanishes with the process."""

    def __init__(self) -> None:
        # A database without a name is a file that SQLite deletes; it is used by one thread after another.
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._run = self._database.execute
        for statement in (
            "PRAGMA journal_mode = OFF",
            "BEGIN",  # never committed: nobody else reads it
            "CREATE TABLE kept (position INTEGER PRIMARY KEY, key TEXT, task_id TEXT, value BLOB)",
            "CREATE TABLE wanted (key TEXT PRIMARY KEY) WITHOUT ROWID",
            "CREATE TABLE requested (key TEXT PRIMARY KEY) WITHOUT ROWID",
        ):
            self._run(statement)

    def close(self) -> None:
        """Delete the file."""
        self._database.close()

    def add(self, key: str, value: T, *, task_id: str | None = None) -> None:
        """Keep a value, and the task that it names."""
        row = (key, task_id, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
        self._run("INSERT INTO kept (key, task_id, value) VALUES (?, ?, ?)", row)

    def seal(self) -> None:
        """Prepare for reading, after everything was added."""
        self._run("CREATE INDEX by_key ON kept (key)")
        self._run("CREATE INDEX by_task ON kept (task_id, key) WHERE task_id IS NOT NULL")

    def count_keys(self) -> int:
        """Return the number of keys."""
        return int(self._run("SELECT COUNT(DISTINCT key) FROM kept").fetchone()[0])

    def tasks(self) -> Iterator[tuple[str, str]]:
        """Yield each key with each task that its values name."""
        yield from self._run("SELECT DISTINCT key, task_id FROM kept WHERE task_id IS NOT NULL")

    def find(self, keys: Iterable[str], *, rest: bool = False) -> list[T]:
        """Return the values of some keys, in the order in which they were added.

        Args:
            rest: Also return the values of all keys that were never requested.
        """
        self._run("DELETE FROM wanted")
        self._database.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((key,) for key in keys))
        self._run("INSERT OR IGNORE INTO requested SELECT key FROM wanted")
        if rest:
            others = "SELECT DISTINCT key FROM kept WHERE key NOT IN requested"
            self._run(f"INSERT OR IGNORE INTO wanted {others}")
        # CROSS JOIN fixes the order of the join: scanning all kept values would take long.
        rows = self._run(
            "SELECT value FROM wanted CROSS JOIN kept ON kept.key = wanted.key ORDER BY kept.position"
        )
        return [pickle.loads(value) for (value,) in rows]  # noqa: S301  this process wrote it

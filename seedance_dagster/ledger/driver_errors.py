"""Errors of the databases' drivers, in words that say what to do."""

from __future__ import annotations

from seedance_dagster.ledger.postgresql import sqlstate

_SQLITE = {  # by the beginning of SQLite's name for it
    "SQLITE_CORRUPT": "the file is damaged or of another kind ({}): restore it from a backup",
    "SQLITE_NOTADB": "the file is damaged or of another kind ({}): restore it from a backup",
    "SQLITE_READONLY": "this user may not write the file, or may not write in its folder ({})",
    "SQLITE_IOERR": "its disk is full, or failed ({})",
    "SQLITE_CANTOPEN": "it is a folder, a broken link, or in a folder in which this user may not write ({})",
}
_POSTGRESQL = {  # by SQLSTATE
    "25006": "the server is a standby, or the database is read-only: the URL has to name the primary ({})",
    "25P03": "this process stalled in a transaction for too long, and nothing was written ({})",
    "3F000": "no schema of the search_path exists: create one, or correct the search_path ({})",
    "42501": "the URL's user lacks a right: make it the owner of the database and of its tables ({})",
    "53100": "the disk of the server is full ({})",
    "55P03": "another process has been writing for too long ({})",
    "57014": "a statement took too long, or an administrator canceled it ({})",
}


def describe_driver_error(error: BaseException | None) -> str:
    """Return a driver's message in one line, with its meaning where the message alone does not say it."""
    lines = str(error).strip().splitlines()
    words = lines[0] if lines else type(error).__name__
    name = getattr(error, "sqlite_errorname", None) or ""
    sentences = [text for start, text in _SQLITE.items() if name.startswith(start)]
    return (sentences[0] if sentences else _POSTGRESQL.get(sqlstate(error), "{}")).format(words)

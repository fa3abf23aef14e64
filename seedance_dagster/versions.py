"""Which program this is, for what it writes down."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

CODE_VERSION = "1"
"""Raised when the same request would be ordered or stored differently; Dagster compares it."""


@cache
def package_version() -> str:
    """The installed version of this package."""
    try:
        return version("seedance-dagster")
    except PackageNotFoundError:
        return "unknown"  # a bare source tree on the path

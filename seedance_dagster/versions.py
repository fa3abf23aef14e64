"""Versions that the package records: its own, and that of its code in Dagster."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

CODE_VERSION = "1"
"""Increased when the same request would be ordered or stored differently; Dagster compares it."""


@cache
def package_version() -> str:
    """Return the installed version of this package."""
    try:
        return version("seedance-dagster")
    except PackageNotFoundError:
        return "unknown"  # a source tree on the path, not installed

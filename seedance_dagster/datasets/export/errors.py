"""The error of an export."""

from __future__ import annotations

from seedance_dagster.net.secrets import SafeError


class ExportError(SafeError):
    """A dataset was not written, or not all of it; the message says what to do."""


class NothingAcceptedError(ExportError):
    """A set has no accepted video."""

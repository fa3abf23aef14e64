"""The error of scores."""

from __future__ import annotations

from seedance_dagster.net.secrets import SafeError


class ScoreError(SafeError):
    """A score is declared wrongly, or cannot be computed of a video; the message says what to do."""

"""The limits of inspecting a video, and of making its preview."""

from __future__ import annotations

from seedance_dagster.bounded.limits import Bounds

BOUNDS = Bounds(cpu_s=60, wall_s=300.0, memory_bytes=3 * 1024**3)
PREVIEW_BOUNDS = Bounds(cpu_s=300, wall_s=300.0, memory_bytes=3 * 1024**3)

"""The limits of a process that reads files which may be made to exhaust the machine."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_MEMORY = Path("/proc/self/statm")  # in pages; the first figure counts all mapped memory


@dataclass(frozen=True)
class Bounds:
    """The limits of reading one file.

    Attributes:
        cpu_s: CPU time.
        wall_s: Elapsed time.
        memory_bytes: Memory on top of what the process has before its first file. As much again may stay
            mapped by libraries that read earlier files: they use it again, and release it late.
    """

    cpu_s: int
    wall_s: float
    memory_bytes: int

    def reason_of_end(self, status: int) -> str:
        """Return why a process ended with a status that is not 0, in words."""
        if -status == getattr(signal, "SIGXCPU", None):
            return f"reading the file takes more than {self.cpu_s} s of CPU time"
        if status < 0:
            return f"the file makes its reader crash ({signal.Signals(-status).name})"
        return f"the file makes its reader fail (status {status})"


class ProcessLimits:
    """The limits of this process, where the system supports them."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._before = _mapped_bytes()

    def renew(self) -> None:
        """Limit the memory of this process, and its time from now on."""
        if sys.platform == "win32":
            return
        import resource  # noqa: PLC0415  not on Windows

        most_bytes = self._bounds.memory_bytes
        still_mapped = min(max(_mapped_bytes() - self._before, 0), most_bytes)
        limits = {
            resource.RLIMIT_CPU: int(time.process_time()) + self._bounds.cpu_s,
            resource.RLIMIT_AS: self._before + still_mapped + most_bytes,
            resource.RLIMIT_CORE: 0,
        }
        for limit, most in limits.items():
            _, hard = resource.getrlimit(limit)
            lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(limit, (lowered, hard))


def _mapped_bytes() -> int:
    if not _MEMORY.exists():
        return 0
    import resource  # noqa: PLC0415  not on Windows

    return int(_MEMORY.read_text().split()[0]) * resource.getpagesize()

"""The limits of the process that reads videos: a file may be made to exhaust the machine."""

from __future__ import annotations

import signal
import sys
import time

WALL_S = 300.0
CPU_S = 60
MEMORY_BYTES = 3 * 1024**3


def bound_this_process() -> None:
    """Limit the memory of this process, and its time from now on, where the system can."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  not on Windows

    limits = {
        resource.RLIMIT_CPU: int(time.process_time()) + CPU_S,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for limit, most in limits.items():
        _, hard = resource.getrlimit(limit)
        lowered = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (lowered, hard))


def reason_of_end(status: int) -> str:
    """Return why a process ended with a status that is not 0, in words."""
    if -status == getattr(signal, "SIGXCPU", None):
        return f"reading the file takes more than {CPU_S} s of CPU time"
    if status < 0:
        return f"the file makes its reader crash ({signal.Signals(-status).name})"
    return f"the file makes its reader fail (status {status})"

"""A process that runs one command and ends it when the process that started it ends.

    python watchdog.py SECONDS COMMAND [ARGUMENT ...]

The starter holds the other end of this process's standard input. When that closes, because the starter is
done or was killed, the command's whole process group is interrupted, and killed after SECONDS.
It imports only the standard library, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_POLL_S = 0.05


def main(grace_s: float, command: list[str]) -> int:
    """Run the command until it ends or standard input closes.

    Args:
        grace_s: Seconds between the interrupt and the kill.

    Returns:
        The command's exit status; 128 plus the signal's number when a signal ended it.
    """
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ending.set())
    # In a group of its own: the signals below reach the command's children and not this process.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603  the starter's command
    threading.Thread(target=_wait_for_close, args=(ending,), daemon=True).start()
    while child.poll() is None and not ending.wait(_POLL_S):
        pass
    _end_group(child, grace_s)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _wait_for_close(ending: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    ending.set()


def _end_group(child: subprocess.Popen[bytes], grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(_POLL_S)
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))

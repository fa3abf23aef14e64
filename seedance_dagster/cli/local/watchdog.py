"""Runs one command and never lets it outlive whoever asked for it.

    python keeper.py SECONDS COMMAND [ARGUMENT ...]

The asker holds the other end of this process's standard input. When that closes, because the asker is
done or because it was killed, the command's whole process group is interrupted, and after SECONDS
killed. Standard library only, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

_LOOK_EVERY_S = 0.05


def main(grace_s: float, command: list[str]) -> int:
    """Run the command until it ends or standard input closes.

    Args:
        grace_s: Seconds between the interrupt and the kill.
        command: The program and its arguments.

    Returns:
        The command's exit status; 128 plus the signal's number when a signal ended it.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    # A group of its own: the signals below reach the command's children and not this process.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)  # noqa: S603  the asker's command
    threading.Thread(target=_until_closed, args=(over,), daemon=True).start()
    while child.poll() is None and not over.wait(_LOOK_EVERY_S):
        pass
    _end_group(child, grace_s)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _until_closed(over: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    over.set()


def _end_group(child: subprocess.Popen[bytes], grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(_LOOK_EVERY_S)
        os.killpg(child.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))

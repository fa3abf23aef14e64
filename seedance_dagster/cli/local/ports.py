"""Free ports on the loopback address, the same as last time where possible."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Return the preferred port if it is free, else any free port."""
    with contextlib.suppress(OSError):
        return _bind(preferred)
    return _bind(0)


def remembered_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """Return a port for each name, the one in the file if it is free, and write them to the file.

    Args:
        file: Keeps the ports between starts; unreadable content is ignored.
    """
    saved: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(file.read_text())
        saved = content if isinstance(content, dict) else {}
    ports: dict[str, int] = {}
    for name in names:
        last = saved.get(name)
        ports[name] = free_port(last if isinstance(last, int) and 0 < last < 2**16 else 0)
    file.write_text(json.dumps(ports))
    return ports


def _bind(port: int) -> int:
    with socket.socket() as probe:
        # A port whose last connections are in TIME_WAIT is free to listen on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        return int(probe.getsockname()[1])

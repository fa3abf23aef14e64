"""Free ports on the loopback address, the same ones as last time where that is possible."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """The preferred port if nobody listens on it, else any free one."""
    with contextlib.suppress(OSError):
        return _bind(preferred)
    return _bind(0)


def remembered_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """Ports by name, the ones noted in the file if they are free; what is returned is noted there.

    Args:
        file: Where the ports are kept between starts; unreadable content counts as nothing.
        names: What a port is needed for.
    """
    noted: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(file.read_text())
        noted = loaded if isinstance(loaded, dict) else {}
    ports: dict[str, int] = {}
    for name in names:
        last = noted.get(name)
        ports[name] = free_port(last if isinstance(last, int) and 0 < last < 2**16 else 0)
    file.write_text(json.dumps(ports))
    return ports


def _bind(port: int) -> int:
    with socket.socket() as probe:
        # A port whose last connections are still fading away is free to listen on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        return int(probe.getsockname()[1])

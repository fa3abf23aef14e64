"""The open connections, so that one can be closed in the middle of a call."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Scope

Ends = tuple[tuple[str, int], tuple[str, int]]


class Connections:
    """Transports by both their ends; the server in `server.py` notes them here."""

    def __init__(self) -> None:
        self._open: dict[Ends, asyncio.Transport] = {}

    def opened(self, transport: asyncio.Transport) -> Ends:
        """Note a new connection; returns what to forget it by."""
        ends = (_end(transport.get_extra_info("peername")), _end(transport.get_extra_info("sockname")))
        self._open[ends] = transport
        return ends

    def closed(self, ends: Ends) -> None:
        """Forget a connection."""
        self._open.pop(ends, None)

    def drop(self, scope: Scope) -> None:
        """Close the connection of a call after what was written so far.

        Raises:
            ConnectionResetError: under a server that does not note its connections.
        """
        # Both ends: a client may use one port of its own towards the API and the file host at once.
        transport = self._open.get((_end(scope.get("client")), _end(scope.get("server"))))
        if transport is None:
            raise ConnectionResetError("the emulator hung up on purpose")
        transport.close()


def _end(address: Any) -> tuple[str, int]:
    return (str(address[0]), int(address[1])) if address else ("", 0)

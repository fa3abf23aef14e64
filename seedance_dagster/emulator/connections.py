"""The open connections, so that one can be closed in the middle of a call."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Scope

Address = tuple[str, int]


class Connections:
    """Transports by the client's address; the server in `server.py` notes them here."""

    def __init__(self) -> None:
        self._open: dict[Address, asyncio.Transport] = {}

    def opened(self, transport: asyncio.Transport) -> None:
        """Note a new connection."""
        self._open[_address(transport.get_extra_info("peername"))] = transport

    def closed(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._open.pop(_address(transport.get_extra_info("peername")), None)

    def drop(self, scope: Scope) -> None:
        """Close the connection of a call after what was written so far.

        Raises:
            ConnectionResetError: under a server that does not note its connections.
        """
        transport = self._open.get(_address(scope.get("client")))
        if transport is None:
            raise ConnectionResetError("the emulator hung up on purpose")
        transport.close()


def _address(peer: Any) -> Address:
    return (str(peer[0]), int(peer[1])) if peer else ("", 0)

"""The emulator as an HTTP service on two ports: the API and the file host."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.responses import Connections, Ends
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

LOOPBACK = "127.0.0.1"
_START_S = 30


class AddressError(RuntimeError):
    """The server cannot listen on an address; the message names it."""


@dataclass(frozen=True)
class RunningEmulator:
    """A running emulator: the URLs of its API and its files, and its internals."""

    url: str
    files_url: str
    emulator: Emulator


def serve(
    settings: EmulatorSettings | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    *,
    files_port: int = 0,
    echo: Callable[[str], object] = click.echo,
) -> None:
    """Serve until a signal ends it; print `emulator ready at http://HOST:PORT` once it listens.

    Args:
        settings: The behaviour of the vendor.
        host: Address to listen on; should be a loopback one, since the calls under /emulator need no key.
        port: Port of the API; 0 takes a free one, with a state folder the previous one if possible.
        files_port: Port of the file host, chosen in the same way.
        echo: Prints the line.

    Raises:
        AddressError: A port is in use.
        StateError: The state folder cannot be used.
    """
    with _listening(settings, host, port, files_port) as (server, sockets, running):
        server.on_ready = lambda: echo(f"emulator ready at {running.url}")
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=sockets)


@contextlib.contextmanager
def running_emulator(
    settings: EmulatorSettings | None = None, host: str = LOOPBACK, port: int = 0, *, files_port: int = 0
) -> Iterator[RunningEmulator]:
    """Run an emulator in a thread of this process, for tests, until the end of the block.

    Raises:
        AddressError: A port is in use.
        StateError: The state folder cannot be used.
        RuntimeError: The emulator does not start.
    """
    with _listening(settings, host, port, files_port) as (server, sockets, running):
        ready = threading.Event()
        server.on_ready = ready.set
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": sockets}, name="emulator", daemon=True
        )
        thread.start()
        try:
            if not ready.wait(_START_S):
                raise RuntimeError("the emulator did not start")
            yield running
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """A server that reports when it listens."""

    on_ready: Callable[[], object] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()


@contextlib.contextmanager
def _listening(
    settings: EmulatorSettings | None, host: str, port: int, files_port: int
) -> Iterator[tuple[_Server, list[socket.socket], RunningEmulator]]:
    app = create_app(settings)
    emulator: Emulator = app.state.emulator
    with contextlib.ExitStack() as stack:
        stack.callback(emulator.close)
        ports = emulator.state.note("ports", {})
        sockets = [
            stack.enter_context(contextlib.closing(_listen(host, chosen, int(ports.get(name, 0)))))
            for name, chosen in (("api", port), ("files", files_port))
        ]
        api, files = (sock.getsockname()[1] for sock in sockets)
        emulator.state.save(notes={"ports": {"api": api, "files": files}})
        authority = f"[{host}]" if ":" in host else host
        emulator.settings.files_url = emulator.settings.files_url or f"http://{authority}:{files}"
        config = uvicorn.Config(
            app,
            http=_protocol(emulator.connections),
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="critical",
            access_log=False,
            # As long as the proxy in front of the real service keeps idle connections.
            timeout_keep_alive=75,
            # Calls that hang on purpose must not delay the end of the service.
            timeout_graceful_shutdown=1,
        )
        yield (
            _Server(config),
            sockets,
            RunningEmulator(f"http://{authority}:{api}", emulator.settings.files_url, emulator),
        )


def _listen(host: str, port: int, last_port: int) -> socket.socket:
    if port == 0 and last_port:
        with contextlib.suppress(AddressError):
            return _listen(host, last_port, 0)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(f"cannot listen on {host}: {error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise AddressError(f"cannot listen on {host} port {port}: {error}") from None
    return listener


def _protocol(connections: Connections) -> type[asyncio.Protocol]:
    class NotingProtocol(H11Protocol):
        """A protocol that notes its transport, so that a fault can close the connection."""

        ends: Ends | None = None

        def connection_made(self, transport: Any) -> None:
            self.ends = connections.opened(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.ends is not None:
                connections.closed(self.ends)
            super().connection_lost(exc)

    return NotingProtocol

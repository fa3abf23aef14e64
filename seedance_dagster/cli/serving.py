"""Serving a web application on one address until Ctrl-C."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises `click.ClickException`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise click.ClickException(f"cannot listen on {host} port {port}: {error}") from None


def address(host: str, listener: socket.socket) -> str:
    """Return the address of a listener as a browser takes it, without a slash at its end."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def serve(app: ASGIApp, listener: socket.socket, *, most_connections: int, drain_s: int) -> None:
    """Serve an application until Ctrl-C.

    Args:
        most_connections: More at once are refused.
        drain_s: Seconds in which replies under way can finish.
    """
    import uvicorn  # noqa: PLC0415  an extra

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        limit_concurrency=most_connections,
        timeout_graceful_shutdown=drain_s,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])

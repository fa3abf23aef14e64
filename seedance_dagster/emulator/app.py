"""The ASGI application: the vendor's API, its file host, and the emulator's own calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from seedance_dagster.emulator import control, file_service, files, reference_files, vendor_api
from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.responses import envelope
from seedance_dagster.emulator.vendor_settings import EmulatorSettings
from seedance_dagster.emulator.webhooks import call_webhooks


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def create_app(
    settings: EmulatorSettings | None = None, *, clock: Callable[[], datetime] = utc_now
) -> Starlette:
    """Build an emulator, available as `app.state.emulator` and closed with the application.

    Args:
        settings: The behaviour of the vendor at the start.
        clock: Returns the time, UTC-aware; tests pass their own.

    Raises:
        StateError: The state folder cannot be used.
    """
    emulator = Emulator(settings or EmulatorSettings(), clock)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        webhooks = asyncio.create_task(call_webhooks(emulator))
        try:
            yield
        finally:
            webhooks.cancel()
            await asyncio.wait({webhooks})
            emulator.close()

    app = Starlette(
        routes=[
            *vendor_api.ROUTES,
            *files.ROUTES,
            *reference_files.ROUTES,
            *file_service.ROUTES,
            *control.ROUTES,
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _unknown_path},
    )
    app.state.emulator = emulator
    return app


async def _unknown_path(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return envelope(None, code=status, message="no such path or method", status=status)

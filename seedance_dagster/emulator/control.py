"""The emulator's own calls, under /emulator: settings, faults, outages and books; they need no key."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seedance_dagster.emulator.books import books, summary
from seedance_dagster.emulator.emulator import Emulator
from seedance_dagster.emulator.fault_table import FAULTS
from seedance_dagster.emulator.faults import UnknownFaultError
from seedance_dagster.emulator.responses import Refusal, invalid
from seedance_dagster.emulator.traffic import OutageError, read_outage
from seedance_dagster.emulator.vendor_api import read_json
from seedance_dagster.emulator.vendor_settings import SettingsError

Command = Callable[[Emulator, dict[str, Any]], Any]


def command(perform: Command) -> Callable[[Request], Awaitable[Response]]:
    """Make a POST handler of a function of the emulator and a JSON object; answer problems as `error`."""

    @functools.wraps(perform)
    async def call(request: Request) -> Response:
        try:
            body = read_json(await request.body() or b"{}")
            if not isinstance(body, dict):
                raise invalid("the body must be a JSON object")
            return JSONResponse(perform(request.app.state.emulator, body))
        except Refusal as refusal:
            return JSONResponse({"error": refusal.message}, status_code=refusal.status)
        except (SettingsError, UnknownFaultError, OutageError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return call


def read(answer: Callable[[Emulator], Any]) -> Callable[[Request], Awaitable[Response]]:
    """Make a GET handler of a function of the emulator."""

    @functools.wraps(answer)
    async def call(request: Request) -> Response:
        return JSONResponse(answer(request.app.state.emulator))

    return call


def show_faults(emulator: Emulator) -> dict[str, Any]:
    """Return the rates in force and all known faults."""
    known = {fault.name: {"stage": fault.stage.value, "summary": fault.summary} for fault in FAULTS.values()}
    return {"rates": emulator.faults.rates, "known": known}


def set_faults(emulator: Emulator, body: dict[str, Any]) -> dict[str, Any]:
    """Replace the rates in force; `{}` ends them."""
    emulator.faults.set_rates(body)
    return {"rates": emulator.faults.rates}


def set_outage(emulator: Emulator, body: dict[str, Any]) -> dict[str, Any]:
    """Start an outage, or end it with 0 seconds."""
    outage = read_outage(body, emulator.vendor.now())
    emulator.traffic.outage = outage
    return {"kind": outage.kind, "scope": outage.scope, "until": outage.until.isoformat()}


def set_settings(emulator: Emulator, body: dict[str, Any]) -> dict[str, Any]:
    """Change settings while running."""
    return emulator.change(body).as_json()


def set_charge(emulator: Emulator, body: dict[str, Any]) -> dict[str, Any]:
    """Charge a task a different amount: `{"task_id": ..., "points": ...}`."""
    points = body.get("points")
    if isinstance(points, bool) or not isinstance(points, int) or points < 0:
        raise invalid("points must be a whole number, 0 or more")
    record = emulator.vendor.find(str(body.get("task_id")))
    emulator.vendor.alter_charge(record, points)
    return {"task_id": record.task_id, "points_charged": record.charged, "settled": record.settled}


def create_out_of_band(emulator: Emulator, body: dict[str, Any]) -> dict[str, Any]:
    """Create a task as another program with the same account would; the body is that of POST /api/v1/task."""
    return {"task_id": emulator.vendor.create_task(body, source="out-of-band").task_id}


def health(emulator: Emulator) -> dict[str, Any]:
    """Answer that the emulator runs."""
    return {"ok": True, "active": emulator.vendor.active()}


ROUTES = [
    Route("/emulator/health", read(health)),
    Route("/emulator/books", read(books)),
    Route("/emulator/books/summary", read(summary)),
    Route("/emulator/settings", read(lambda emulator: emulator.settings.as_json())),
    Route("/emulator/settings", command(set_settings), methods=["POST"]),
    Route("/emulator/faults", read(show_faults)),
    Route("/emulator/faults", command(set_faults), methods=["POST"]),
    Route("/emulator/outage", command(set_outage), methods=["POST"]),
    Route("/emulator/charge", command(set_charge), methods=["POST"]),
    Route("/emulator/tasks", command(create_out_of_band), methods=["POST"]),
]

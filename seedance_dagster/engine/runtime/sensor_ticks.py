"""The sensor's ticks as the ledger remembers them: a sensor that does not tick is reported."""

from __future__ import annotations

from datetime import datetime, timedelta

from seedance_dagster.ledger.ledger import Ledger

_TICK = "sensor_tick"
_LATE = timedelta(minutes=5)  # it ticks every ten seconds, and a tick may take half a minute
_NOT_FOLLOWED = "tasks are followed, and queued orders sent, by runs alone"


def remember_tick(ledger: Ledger) -> None:
    """Remember that the sensor ticks now; raise `LedgerUnavailableError`."""
    ledger.observations.remember({_TICK: 1})


def sensor_trouble(ledger: Ledger, *, now: datetime) -> str | None:
    """Return why the sensor does not tick, and what to do; None while it does. Raise `LedgerError`.

    Args:
        now: UTC.
    """
    tick = ledger.observations.recall(_TICK).get(_TICK)
    if tick is None:
        return (
            f"seedance_sensor has never ticked, so {_NOT_FOLLOWED}: switch it on in Dagster, and see that "
            "dagster-daemon runs"
        )
    if tick.at > now + _LATE:
        return (
            f"seedance_sensor ticked at {tick.at:%Y-%m-%d %H:%M} UTC, which is still to come: this machine's "
            f"clock was ahead, and Dagster starts no tick before that time, so {_NOT_FOLLOWED}. Launch "
            "seedance_advance by hand meanwhile, or stop Dagster and run `dagster schedule wipe`, which "
            "forgets the ticks of all schedules and sensors"
        )
    if tick.at < now - _LATE:
        return (
            f"seedance_sensor has not ticked since {tick.at:%Y-%m-%d %H:%M} UTC, so {_NOT_FOLLOWED}: switch "
            "it on in Dagster, and see that dagster-daemon runs"
        )
    return None

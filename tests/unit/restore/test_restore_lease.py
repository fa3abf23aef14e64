"""Two restorations of one ledger: the second waits for the first, and not for long if that was killed."""

from __future__ import annotations

import click
import pytest

from seedance_dagster.cli.commands.restore import _take_lease


def test_a_killed_restoration_is_repeated_after_two_minutes(ledger, clock):
    """The second one says how long to wait, and then takes over; the first one can go on no longer."""
    _take_lease(ledger, "restore 1")
    _take_lease(ledger, "restore 1")
    with pytest.raises(click.ClickException, match=r"restore 1 restores this ledger .* ends after 2 minutes"):
        _take_lease(ledger, "restore 2")
    clock.forward(seconds=121)
    _take_lease(ledger, "restore 2")
    with pytest.raises(click.ClickException, match="restore 2 restores this ledger already"):
        _take_lease(ledger, "restore 1")

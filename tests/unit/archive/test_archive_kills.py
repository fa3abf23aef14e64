"""Processes that are killed between the steps of archiving."""

from __future__ import annotations

import pytest
from archive_support import LEASE_S, archive, in_ledger, journals, make_old_orders, part_keys

STEPS = (
    ("ledger.archive", "next_entries"),
    ("ledger.archive", "begin"),
    ("store", "replace_version"),
    ("store", "read_version"),
    ("ledger.archive", "finish"),
    ("ledger.archive", "discard"),
    ("store", "delete"),
    ("ledger.archive", "forget"),
)


class Killed(BaseException):
    """Ends a process at once: no handler of errors sees it."""


def kill_at(monkeypatch, services, where: str, name: str, *, after: bool, call: int) -> None:
    """End the process before or after the n-th call of a step."""
    of = services
    for attribute in where.split("."):
        of = getattr(of, attribute)
    step, calls = getattr(of, name), 0

    def killed(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            raise Killed
        result = step(*arguments, **options)
        if calls == call:
            raise Killed
        return result

    monkeypatch.setattr(of, name, killed)
    monkeypatch.setattr(services.ledger.leases, "release", lambda *_: None)


@pytest.mark.each_database
@pytest.mark.sampled(2)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("where", "name"), STEPS)
def test_nothing_is_lost_or_doubled(
    services, store, orders, clock, monkeypatch, small_parts, where, name, after
):
    """A kill at any step leaves whole journals, and the next process ends as if there had been none.

    A further process is killed where it cleans up after the first.
    """
    old = make_old_orders(orders, clock)
    before = journals(services)
    with monkeypatch.context() as patch:
        if name in ("discard", "delete", "forget"):
            kill_at(patch, services, "store", "read_version", after=True, call=1)
            with pytest.raises(Killed):
                archive(services, "first")
            patch.undo()
            clock.forward(seconds=LEASE_S)
            assert journals(services) == before
        kill_at(patch, services, where, name, after=after, call=1)
        with pytest.raises(Killed):
            archive(services, "second")
    assert journals(services) == before
    clock.forward(seconds=LEASE_S)
    archive(services, "third")
    assert journals(services) == before
    assert in_ledger(services).isdisjoint(order.order_id for order in old)
    assert part_keys(store) == {part.key for part in services.ledger.archive.parts()}
    assert services.ledger.archive.unfinished() == []

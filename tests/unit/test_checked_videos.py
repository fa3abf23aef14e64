"""Checks after a run look at what changed, and remember what is wrong with the other videos."""

from __future__ import annotations

import pytest
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.defs.steps.checked import look_at_all, look_at_changes
from seedance_dagster.defs.steps.checks import check_results
from seedance_dagster.defs.video_checks import CHECKS
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.errors import StoreError

FILE = {"poster_size_bytes": 1, "size_bytes": 1, "duration_s": 5.0}
KEYS = [f"p{number:02}" for number in range(30)]


class ListedStore(MemoryStore):
    """A store that remembers what was listed."""

    def __init__(self) -> None:
        super().__init__(prefix="p")
        self.listed: list[str] = []
        self.is_down = False

    def listing(self, folder: str):
        self.listed.append(folder)
        if self.is_down:
            raise StoreError("no answer")
        return super().listing(folder)


@pytest.fixture
def store() -> ListedStore:
    return ListedStore()


@pytest.fixture
def services(ledger, store, clock) -> Services:
    return Services(ledger=ledger, open_client=lambda: None, store=store, clock=clock)


@pytest.fixture
def orders(ledger, clock, store) -> OrderFactory:
    return OrderFactory(ledger, clock, prefix="p", artifacts=FILE)


def put(store, *made) -> None:
    for order in made:
        for key in (order.video_key, order.poster_key, order.manifest_key):
            store.objects[key] = b"x"


@pytest.fixture
def thirty(services, store, orders):
    """Thirty stored videos that were all checked; two have no reported charge."""
    made = orders.make_many(State.STORED, *KEYS[:28]) + orders.make_many(
        State.STORED, *KEYS[28:], charged=None
    )
    put(store, *made)
    look_at_changes(services, "spots")
    store.listed.clear()
    return made


def results(services, look=look_at_changes) -> dict[str, str]:
    checked = check_results(services, "spots", CHECKS, [], look)
    return {str(result.check_name): str(result.description) for result in checked}


@pytest.mark.each_database
def test_only_what_changed_is_looked_at(services, store, orders, thirty):
    """One new video costs one listing of its folder; the violations of others stay."""
    [new] = orders.make_many(State.STORED, "new")
    put(store, new)
    seen = look_at_changes(services, "spots")
    assert (seen.count, seen.looked_at, seen.is_listed) == (31, 1, True)
    assert store.listed == [new.video_key.removeprefix("p/").rpartition("/")[0]]
    assert seen.problems == {
        key: {"charge_matches_hold": "the vendor did not report its charge"} for key in KEYS[28:]
    }
    assert look_at_changes(services, "spots").looked_at == 0
    assert look_at_all(services, "spots").problems == seen.problems


def test_a_change_of_any_kind_is_looked_at(services, ledger, store, orders, thirty):
    """A violation disappears with its video, and appears with a bad new one."""
    again = orders.make(State.STORED, KEYS[28])
    put(store, again)
    assert list(look_at_changes(services, "spots").problems) == [KEYS[29]]
    ledger.repairs.fetch_again(thirty[29], actor="audit", video_url="https://x.example.com/v", reason="lost")
    seen = look_at_changes(services, "spots")
    assert (seen.count, seen.problems) == (29, {})
    short = orders.make(State.STORED, "short", artifacts=FILE | {"duration_s": 0.5})
    put(store, short)
    assert list(look_at_changes(services, "spots").problems["short"]) == ["matches_request"]
    old = look_at_all(services, "spots")
    assert old.problems == look_at_changes(services, "spots").problems


def test_what_was_lost_without_a_change_is_found_by_the_full_check(services, store, thirty):
    """A loss without a change is found by the full check, and checked again until the object is back."""
    lost = thirty[3]
    del store.objects[lost.poster_key]
    assert results(services)["objects_intact"].startswith("30 of 30")
    assert results(services, look_at_all)["objects_intact"].startswith("29 of 30")
    assert results(services)["objects_intact"].startswith("29 of 30")
    put(store, lost)
    assert results(services)["objects_intact"].startswith("30 of 30")


def test_a_store_that_cannot_be_listed_leaves_the_change_to_the_next_run(services, store, orders, thirty):
    """The check says so, and the new video is looked at when the store is back."""
    [new] = orders.make_many(State.STORED, "new")
    store.is_down = True
    descriptions = results(services)
    assert descriptions["objects_intact"] == "S3 could not be listed"
    assert descriptions["playable"] == "31 of 31 videos are playable"
    store.is_down = False
    seen = look_at_changes(services, "spots")
    assert (seen.looked_at, list(seen.problems)) == (1, ["new", *KEYS[28:]])
    put(store, new)
    assert list(look_at_changes(services, "spots").problems) == KEYS[28:]


@pytest.mark.each_database
def test_rates_are_those_of_all_orders(services, ledger, orders):
    """Prompts that were withdrawn unsent, or left their file, are not counted."""
    orders.make(State.REJECTED, "bad")
    orders.make(State.REJECTED, "remade")
    orders.make(State.STORED, "remade")
    orders.make(State.STORED, "good")
    orders.make(State.FAILED, "unsent", error_class="withdrawn", charged=None)
    orders.make(State.REJECTED, "gone")
    asked = {key: PartitionRequest(f"f-{key}") for key in ("bad", "remade", "good", "unsent", "gone")}
    ledger.partitions.update("spots", asked)
    del asked["gone"]
    ledger.partitions.update("spots", asked)
    assert results(services)["rejection_rate"] == "1 of 3 prompts was rejected by moderation"

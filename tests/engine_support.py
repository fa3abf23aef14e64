"""What the engine's orders came to, by its own books and by the emulator's."""

from __future__ import annotations

from seedance_dagster.ledger.order import State


def states(it) -> dict[str, State]:
    return {name: order.state for name, order in it.services.ledger.queries.latest("spots").items()}


def assert_paid_once(it, count: int) -> None:
    books = it.books()
    assert {prompt: entry["tasks"] for prompt, entry in books["prompts"].items()} == dict.fromkeys(
        books["prompts"], 1
    )
    assert len(books["prompts"]) == count
    assert books["summary"]["balanced"]
    assert books["summary"]["key_leaks"] == 0
    charged = sum(order.points_charged or 0 for order in it.services.ledger.queries.find())
    assert charged == books["summary"]["points_charged"]

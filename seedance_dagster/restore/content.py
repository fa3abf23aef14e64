"""Tasks that nothing but their content tells apart: what they render is what a prompt asks for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from seedance_dagster.api.echo import TEXT_CHANGES, letters
from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import Task
from seedance_dagster.engine.reconcile.matching import Matcher, prompt_of
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.restore.ordered import Asked, sent_files

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class ContentMatcher:
    """Compares tasks with what prompts ask for, as reconciliation compares them with orders."""

    def __init__(self, limits: Limits, asked: Iterable[Asked]) -> None:
        # Nothing is paid for a task that is taken for ours, so every known change of a text is believed.
        self._matcher = Matcher(limits, frozenset(TEXT_CHANGES))
        self._by_text: defaultdict[str, list[Asked]] = defaultdict(list)
        for each in asked:
            if not each.request.remove_watermark:
                self._by_text[letters(without_secrets(each.request.prompt))].append(each)

    def renders(self, task: Task, order: Order) -> bool:
        """Return True for a task that renders exactly what an order asks for."""
        return not self._matcher.differences(task, order)

    def candidates(self, task: Task) -> list[Asked]:
        """Return the prompts that ask for what a task renders, in the order of their sets."""
        text = prompt_of(task)
        asked = [] if text is None else self._by_text.get(letters(text), [])
        return [each for each in asked if self.renders(task, _as_order(each, task))]


def _as_order(asked: Asked, task: Task) -> Order:
    """Return an order for a prompt, to be compared with a task."""
    return Order(
        **vars(asked) | {"request": asked.request.model_dump(mode="json")},
        order_id=0,
        state=State.UNCERTAIN,
        attempt=1,
        estimated_points=0,
        reserved_points=0,
        price_table="",
        price_formula="",
        idempotency_key="",
        run_id="",
        ordered_at=_ANY_TIME,
        booked_at=_ANY_TIME,
        reference_facts=sent_files(asked.request, task),
    )

"""Tasks that can be assigned only by their content: they render exactly what a prompt asks for."""

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
from seedance_dagster.restore.ordered import PromptTake, sent_files

_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


class ContentMatcher:
    """A comparison of tasks with prompts, as reconciliation compares them with orders."""

    def __init__(self, limits: Limits, prompts: Iterable[PromptTake]) -> None:
        # A wrong match costs nothing here, so every known change of a text is accepted.
        self._matcher = Matcher(limits, frozenset(TEXT_CHANGES))
        self._by_text: defaultdict[str, list[PromptTake]] = defaultdict(list)
        for prompt in prompts:
            if not prompt.request.remove_watermark:
                self._by_text[letters(without_secrets(prompt.request.prompt))].append(prompt)

    def renders(self, task: Task, order: Order) -> bool:
        """Return True for a task that renders exactly the request of an order."""
        return not self._matcher.differences(task, order)

    def candidates(self, task: Task) -> list[PromptTake]:
        """Return the prompts whose request a task renders, in the order of their sets."""
        text = prompt_of(task)
        prompts = [] if text is None else self._by_text.get(letters(text), [])
        return [prompt for prompt in prompts if self.renders(task, _as_order(prompt, task))]


def _as_order(prompt: PromptTake, task: Task) -> Order:
    """Return an order for a prompt, to compare with a task."""
    return Order(
        **vars(prompt) | {"request": prompt.request.model_dump(mode="json")},
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
        reference_facts=sent_files(prompt.request, task),
    )

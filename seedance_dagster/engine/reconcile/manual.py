"""Manual resolution of an uncertain order, by a person who looked at the vendor's site."""

from __future__ import annotations

from seedance_dagster.api.echo import TEXT_CHANGES
from seedance_dagster.api.errors import NotFoundError, SeedanceError
from seedance_dagster.engine.marks import marks_prove
from seedance_dagster.engine.reconcile.matching import Matcher, prompt_of
from seedance_dagster.engine.reconcile.reconcile import adopt
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import StaleOrderError, TaskOwnedError
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.threads import in_thread


class ManualResolutionError(Exception):
    """Nothing was changed; the message says why and what is allowed."""


async def adopt_by_hand(worker: Worker, order: Order, task_id: str) -> Order:
    """Give an uncertain order a task, after checking that the task can be the order's.

    Args:
        worker: Its name goes into the journal.
        order: The order.
        task_id: The vendor's task.

    Raises:
        ManualResolutionError: The order is not uncertain, or the task is unknown, belongs to another order,
            or renders another request.
    """
    _check_uncertain(order)
    owners = await in_thread(worker.services.ledger.queries.find, task_id=task_id)
    if owners:
        owner = owners[0]
        raise ManualResolutionError(
            f"task {task_id} belongs to order {owner.order_id} ({owner.prompt_set}/{owner.partition}) already"
        )
    try:
        task = await worker.client.get_task(task_id)
    except NotFoundError:
        raise ManualResolutionError(f"the vendor knows no task {task_id}") from None
    except SeedanceError as error:
        raise ManualResolutionError(f"task {task_id} cannot be read: {error}") from None
    # A person may recognize a text even if the vendor was never seen to change one that way.
    matcher = Matcher(
        worker.services.limits,
        frozenset(TEXT_CHANGES),
        ledger_id=worker.services.ledger.identity.ledger_id,
        marks_echoed=marks_prove(worker, [task]),
    )
    if matcher.is_marked_for_another(task, order):
        raise ManualResolutionError(
            f"task {task_id} gives back the mark of another order's POST, not that of order {order.order_id} "
            f"({order.prompt_set}/{order.partition})"
        )
    mark = matcher.mark(task)
    different = [] if mark and mark == order.mark else matcher.differences(task, order)
    if prompt_of(task) is None:
        # A person vouches for what a task does not report; what it reports must still be the order's.
        different = [name for name in different if name == "task_type" or task.input.get(name)]
        different = [name for name in different if name != "prompt"]
    if different:
        raise ManualResolutionError(
            f"task {task_id} renders another request than order {order.order_id} "
            f"({order.prompt_set}/{order.partition}): it differs in {', '.join(different)}"
        )
    try:
        return await adopt(worker, order, task, how="adopted by hand")
    except TaskOwnedError as error:
        raise ManualResolutionError(str(error)) from None
    except StaleOrderError as error:
        raise moved_on(error) from None


async def requeue_by_hand(worker: Worker, order: Order) -> Order:
    """Put an uncertain order back into the queue: a person vouches that no task was made for it.

    Raises:
        ManualResolutionError: The order is not uncertain.
    """
    _check_uncertain(order)
    services = worker.services
    try:
        return await in_thread(
            services.ledger.claims.requeue,
            order,
            actor=worker.name,
            due_at=services.clock(),
            reason="requeued by hand: no task was made",
        )
    except StaleOrderError as error:
        raise moved_on(error) from None


def moved_on(error: StaleOrderError) -> ManualResolutionError:
    """Return the error for an order that moved on while a person resolved it."""
    return ManualResolutionError(f"{error}: look at the order again, then repeat the command")


def _check_uncertain(order: Order) -> None:
    if order.state is not State.UNCERTAIN:
        raise ManualResolutionError(
            f"order {order.order_id} ({order.prompt_set}/{order.partition}) is {order.state}; "
            "only uncertain orders can be resolved"
        )

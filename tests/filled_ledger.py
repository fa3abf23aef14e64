"""A ledger with many orders, written by the database itself, and the queries of everyday work on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from factories import NOW, Clock, make_order

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, Reported, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.tables.schema import journal, links, orders, partitions
from seedance_dagster.money import Window

SETS = 10
ACCOUNT = "mine"
QUEUED, IN_FLIGHT = 2700, 300
"""The numbers of newest orders among a hundred thousand; with fewer orders the share is the same."""
_AT_ONCE = 5000  # rows per statement: a writer has limited time


def fill(ledger: Ledger, count: int) -> None:
    """Write orders in the proportions of a busy team: most are stored, the newest queued or in flight.

    Each has a partition that asks for it, a link, and a journal of its states. The ledger must be empty.
    """
    queued, flying = (share * count // 100_000 for share in (QUEUED, IN_FLIGHT))
    stored = make_order(1, state=State.STORED, account=ACCOUNT, booked_at=NOW - timedelta(days=20))
    with ledger._database.writing() as connection:
        columns = [column for column in orders.c if hasattr(stored, column.name)]
        connection.execute(
            orders.insert().values({column.name: getattr(stored, column.name) for column in columns})
        )
        n = sa.select(sa.bindparam("first", type_=sa.BigInteger).label("n")).cte("numbers", recursive=True)
        n = n.union_all(sa.select(n.c.n + 1).where(n.c.n < sa.bindparam("last", type_=sa.BigInteger)))
        is_queued, is_flying = n.c.n > count - queued, n.c.n > count - queued - flying
        is_rejected = n.c.n % 100 == 0
        changed: dict[str, Any] = {
            "order_id": n.c.n,
            "prompt_set": _text("set", n.c.n % SETS),
            "partition": _text("p", n.c.n),
            "fingerprint": _text("f", n.c.n),
            "sha256": sa.case((is_flying, None), else_=_text("s", n.c.n)),
            "idempotency_key": _text("backfill", n.c.n / 500),
            "booked_at": sa.case((n.c.n > count - count // 20, NOW), else_=orders.c.booked_at),
            "state": sa.case(
                (is_queued, State.QUEUED),
                (is_flying, State.SUBMITTED),
                (is_rejected, State.REJECTED),
                else_=State.STORED,
            ),
            "task_id": sa.case((is_queued, None), else_=_text("task", n.c.n)),
            "account": sa.case((is_queued, None), else_=ACCOUNT),
            "points_charged": sa.case((is_flying, None), else_=orders.c.points_charged),
            "due_at": sa.case((is_flying, orders.c.ordered_at), else_=None),
            "vendor_ended_at": sa.case((is_flying, None), else_=orders.c.vendor_ended_at),
            "stored_at": sa.case((is_flying | is_rejected, None), else_=orders.c.stored_at),
            "ended_at": sa.case((~is_flying & is_rejected, orders.c.ordered_at), else_=None),
            "sent_at": sa.case((is_queued, None), else_=orders.c.ordered_at),
        }
        chosen = [changed.get(column.name, column) for column in columns]
        copies = sa.select(*chosen).select_from(orders.join(n, sa.true())).where(orders.c.order_id == 1)
        insert = orders.insert().from_select([column.name for column in columns], copies)
        for first in range(2, count + 1, _AT_ONCE):
            connection.execute(insert, {"first": first, "last": min(first + _AT_ONCE - 1, count)})
        for first in range(1, count + 1, _AT_ONCE):
            _fill_around(connection, orders.c.order_id.between(first, first + _AT_ONCE - 1))
        for table in ("seedance_orders", "seedance_links", "seedance_partitions", "seedance_journal"):
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"ANALYZE {table}"))


def _fill_around(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> None:
    own = [orders.c[name] for name in ("prompt_set", "partition")]
    asked = sa.select(
        *own, orders.c.fingerprint, orders.c.take, orders.c.scope, orders.c.tags, orders.c.fingerprint
    )
    names = ["prompt_set", "partition", "fingerprint", "take", "scope", "tags", "reported"]
    connection.execute(partitions.insert().from_select(names, asked.where(chosen)))
    reported = sa.case(
        (orders.c.state == State.QUEUED, None),
        (orders.c.state == State.SUBMITTED, Reported.SUBMITTED),
        (orders.c.state == State.REJECTED, Reported.ENDED),
        else_=Reported.STORED,
    )
    rows = sa.select(*own, orders.c.order_id, orders.c.ordered_at, reported)
    names = ["prompt_set", "partition", "order_id", "linked_at", "reported"]
    connection.execute(links.insert().from_select(names, rows.where(chosen)))
    for state in ("queued", "claimed", "submitted", "succeeded", "stored"):
        entry = sa.select(
            orders.c.order_id, orders.c.ordered_at, orders.c.run_id, sa.literal(state), orders.c.tags
        )
        names = ["order_id", "at", "actor", "to_state", "detail"]
        connection.execute(journal.insert().from_select(names, entry.where(chosen)))


def _text(prefix: str, number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.literal(prefix) + sa.cast(number, sa.Text)


_SCORED = ScoreResult(score="motion", version="1", values={"motion": 0.5})


def everyday_queries(ledger: Ledger, clock: Clock, count: int) -> dict[str, Callable[[], object]]:
    """Return the queries of a tick, a run, `status` and a check, by name."""
    newest = count - QUEUED * count // 100_000
    [order] = ledger.queries.get_many([newest])
    request = OrderRequest(idempotency_key="backfill7", run_id="r", max_points=1)
    budgets = [
        Budget(window=Window.DAY, points=1),
        Budget(window=Window.MONTH, points=1, prompt_set="set1"),
        Budget(window=Window.TOTAL, points=1),
    ]
    day = NOW - timedelta(days=1)
    page = [f"task{number}" for number in range(newest - 50, newest + 50)]
    queries, workload, reports = ledger.queries, ledger.workload, ledger.reports
    return {
        "tick: what can be done": workload.actionable,
        "tick: rejections of the day": lambda: workload.rejections_since(NOW),
        "tick: cheapest in the queue": workload.cheapest_queued,
        "tick: what was not reported": lambda: reports.unreported(1000),
        "tick: claims that ran out": lambda: ledger.claims.expire(actor="w"),
        "tick: tasks to poll": lambda: ledger.tasks.lease_due("w", State.SUBMITTED, limit=20),
        "tick: unwanted orders of a set": lambda: ledger.withdrawals.unwanted(["set1"], actor="w"),
        "tick: sets with postponed prompts": lambda: ledger.partitions.sets_with_postponed(before=NOW),
        "tick: queued orders by set": workload.queued_by_set,
        "tick: newest entry of the journal": ledger.journal.position,
        "tick: sets to score": lambda: ledger.scored.due_sets({"set1": "plan"}),
        "run: videos of some partitions": lambda: ledger.videos.current_among("set1", [order.partition]),
        "run: a score that is new": lambda: ledger.scores.record(str(order.sha256), [_SCORED]),
        "run: claims": lambda: ledger.claims.take("w", limit=20, max_in_flight=10_000),
        "run: slots": workload.in_flight,
        "run: time that tasks took": workload.render_times,
        "polls: running tasks": lambda: ledger.polls.running(ACCOUNT, submitted_before=NOW),
        "polls: tasks made in a span": lambda: ledger.polls.made(ACCOUNT, day, day + timedelta(minutes=1)),
        "polls: tasks of a page": lambda: ledger.polls.followed(page),
        "polls: tasks to poll first": lambda: ledger.polls.first(page),
        "polls: polls to postpone": lambda: ledger.polls.later(page, NOW - timedelta(days=1)),
        "run: changes since": lambda: ledger.journal.changes(5 * count - 100),
        "run: return of all orders": lambda: ledger.tasks.release("nobody"),
        "run: renewal": lambda: ledger.leases.renew("w", [newest], seconds=60),
        "run: lease of an order": lambda: ledger.leases.holds(order),
        "run: videos to store": lambda: ledger.tasks.lease_due("w", State.SUCCEEDED, limit=8),
        "run: quotes": lambda: ledger.orders.existing_answers(
            "set7", {"p77": PartitionRequest("f77")}, request
        ),
        "run: its own limit": lambda: ledger.orders.remaining_points(request),
        "run: next attempt": lambda: queries.next_attempt(order),
        "run: a task's order": lambda: queries.with_task("task77"),
        "run: partitions to report": lambda: reports.links(order.order_id),
        "run: budgets by day": lambda: ledger.budgets.usage(budgets[:1]),
        "reconcile: tasks since a time": lambda: ledger.reconciliation.known_tasks(ACCOUNT, NOW),
        "reconcile: answered tasks": lambda: ledger.reconciliation.answered_tasks(ACCOUNT, day, day),
        "check: open orders of a set": lambda: queries.find(prompt_set="set1", states=OPEN),
        "status: partitions in question": queries.in_question,
        "status: newest charges": lambda: queries.newest_charges(limit=20),
        "sum: budgets by month and in all": lambda: ledger.budgets.usage(budgets[1:]),
        "sum: money of the account": lambda: workload.flow(ACCOUNT),
        "sum: orders by set and state": workload.counts,
        "sum: longest tasks": lambda: ledger.reconciliation.longest_tasks(ACCOUNT),
    }

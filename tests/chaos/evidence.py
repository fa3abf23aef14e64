"""The evidence of a round: the ledger, its journal, the bucket and the emulator's accounts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chaos.faults import BROKEN_FOR_EVER
from chaos.worker import Environment
from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import OPEN, Order, State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.tables.schema import journal
from seedance_dagster.storage.s3 import VideoStore


@dataclass(frozen=True)
class Evidence:
    """The evidence on which a round is judged, read once.

    Attributes:
        links: The links of partitions to each order, by order id.
        objects: The bucket's objects under the round's prefix, by key.
    """

    environment: Environment
    books: dict[str, Any]
    orders: list[Order]
    links: dict[int, list[Link]]
    journal: list[JournalEntry]
    living_leases: list[str]
    objects: dict[str, bytes]
    store: VideoStore

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """The vendor's tasks that were made through the API, by id."""
        return {task["task_id"]: task for task in self.books["tasks"] if task["source"] == "api"}

    def write(self, folder: Path) -> None:
        """Write the files that a person needs to understand a failed round."""
        (folder / "books.json").write_text(json.dumps(self.books, indent=1))
        (folder / "journal.txt").write_text(
            "".join(
                f"{entry.at:%H:%M:%S.%f} order {entry.order_id}: {entry.from_state} -> {entry.to_state} "
                f"by {entry.actor} {entry.detail}\n"
                for entry in self.journal
            )
        )

    @classmethod
    def gather(cls, environment: Environment, books: dict[str, Any]) -> Evidence:
        store = environment.settings.open_store()
        ledger = Ledger.open(environment.settings.ledger_url)
        try:
            orders = ledger.queries.find()
            links = ledger.partitions.links_of(order.order_id for order in orders)
            owners = {order.lease_owner for order in orders} - {None}
        finally:
            ledger.close()
        entries = _journal(environment.settings.ledger_url)
        return cls(
            environment, books, orders, links, entries, sorted(map(str, owners)), _objects(store), store
        )


def outstanding(environment: Environment, books: dict[str, Any]) -> list[str]:
    """Return a message for each thing that has not ended yet and still could."""
    ledger = Ledger.open(environment.settings.ledger_url)
    try:
        orders = ledger.queries.find()
        links = ledger.partitions.links_of(order.order_id for order in orders)
    finally:
        ledger.close()
    wanted = {(prompts.name, key) for prompts in environment.plan.sets for key in prompts.partitions}
    linked = {(link.prompt_set, link.partition) for of_order in links.values() for link in of_order}
    missing = wanted - linked
    if environment.plan.policy.budgets:
        missing = set()  # prompts that the budget has no room for are not ordered
    left = [f"{name}/{key} was never ordered" for name, key in sorted(missing)]
    left += [
        f"order {order.order_id} ({order.prompt_set}/{order.partition}) is {order.state}: "
        f"{order.error_message}, due {order.due_at}, leased by {order.lease_owner}"
        for order in orders
        if order.state in OPEN and not excused(order, books, orders)
    ]
    if environment.plan.dagster:
        left += [
            f"order {order.order_id} is stored and was not reported to Dagster for {link.partition}"
            for order in orders
            for link in links[order.order_id]
            if order.state is State.STORED and link.reported not in ("stored", "observed")
        ]
    return left


def excused(order: Order, books: dict[str, Any], orders: Sequence[Order]) -> bool:
    """Return True for a paid order whose file the vendor never delivers: it must stay open, with a reason.

    The removal of its watermark waits with it.
    """
    if order.state is State.QUEUED and order.source_order_id is not None:
        return any(
            excused(source, books, ()) for source in orders if source.order_id == order.source_order_id
        )
    task = next((row for row in books["tasks"] if row["task_id"] == order.task_id), None)
    if task is None or task["state"] != "completed" or not order.error_message:
        return False
    if order.state is State.SUBMITTED:
        return "missing-url" in task["quirks"]
    broken = any(marker in order.request["prompt"] for marker in BROKEN_FOR_EVER)
    return order.state is State.SUCCEEDED and broken


def unordered(environment: Environment, run: str) -> bool:
    """Return True when a waiting run has a partition that was never ordered."""
    prompt_set = environment.plan.set_of(run)
    ledger = Ledger.open(environment.settings.ledger_url)
    try:
        return not prompt_set.partitions.keys() <= ledger.queries.latest(prompt_set.name).keys()
    finally:
        ledger.close()


def waits_for_ever(environment: Environment, role: str, books: dict[str, Any]) -> bool:
    """Return True for a waiting run with an order that is excused, its own or one of another set."""
    ledger = Ledger.open(environment.settings.ledger_url)
    try:
        orders = ledger.queries.find(states=OPEN)
        current = ledger.queries.latest(environment.plan.set_of(role).name).values()
    finally:
        ledger.close()
    return any(excused(order, books, orders) for order in current if order.state in OPEN)


def _journal(url: str) -> list[JournalEntry]:
    """Return all entries in the order in which they were written."""
    database = Database(url)
    with database.reading() as connection:
        rows = connection.execute(sa.select(journal).order_by(journal.c.entry_id)).all()
    database.close()
    names = JournalEntry.__dataclass_fields__
    return [JournalEntry(**{name: getattr(row, name) for name in names}) for row in rows]


def _objects(store: VideoStore) -> dict[str, bytes]:
    pages = store.client.get_paginator("list_objects_v2").paginate(
        Bucket=store.bucket, Prefix=f"{store.prefix}/"
    )
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    # A check of the store may be writing and deleting its own object.
    keys = [key for key in keys if ".writable" not in key]
    return {key: store.get_bytes(key) for key in keys}

"""The judgement: ledger, journal and bucket compared with the emulator's accounts."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import av

from chaos.evidence import Evidence
from chaos.faults import ENDS_BY_OUTCOME, ENDS_WITHOUT_TASK
from chaos.requests import as_ordered, as_sent
from chaos.worker import UNEXPECTED
from seedance_dagster.ledger.order import OPEN, WITHDRAWN, Order, State
from seedance_dagster.ledger.queries import JournalEntry
from seedance_dagster.ledger.transitions import TRANSITIONS
from seedance_dagster.media.video import probe
from seedance_dagster.prompts.identity import fingerprint
from seedance_dagster.storage.keys import object_keys

if TYPE_CHECKING:
    from chaos.round import Result


_Identity = tuple[str, int, str]
"""Fingerprint, take and scope of an order."""


def judge(evidence: Evidence, result: Result) -> None:
    """Add counts and violations to the result."""
    result.tally.update(_counts(evidence))
    for check in (_owned_one_to_one, _ordered_once, _money, _budget, _journals, _leases, _stored, _bucket):
        result.violations += check(evidence)
    if evidence.environment.plan.dagster:
        from chaos.judge_events import judge_events

        result.violations += judge_events(evidence, evidence.environment.folder / "dagster")
    result.violations += _unexpected(evidence.environment.folder / "logs")


def _unexpected(logs: Path) -> Iterator[str]:
    """Yield a message for each log with unexpected errors."""
    for path in sorted(logs.iterdir()):
        lines = [line for line in path.read_text(errors="replace").splitlines() if UNEXPECTED in line]
        if lines:
            yield f"{path.name}: {lines[0]} ({len(lines)} in all)"


def _counts(evidence: Evidence) -> Counter[str]:
    entries = evidence.journal
    steps = Counter((entry.from_state, entry.to_state) for entry in entries)
    return Counter(
        {
            "orders": len(evidence.orders),
            "tasks": len(evidence.tasks),
            "partitions": len({(order.prompt_set, order.partition) for order in evidence.orders}),
            "stored": sum(order.state is State.STORED for order in evidence.orders),
            "rejected": sum(order.state is State.REJECTED for order in evidence.orders),
            "failed": sum(order.state is State.FAILED for order in evidence.orders),
            "left open by the vendor": sum(order.state in OPEN for order in evidence.orders),
            "further attempts": sum(order.attempt > 1 for order in evidence.orders),
            "uncertain": steps["claimed", "uncertain"],
            "resolved by hand": sum("by hand" in str(entry.detail) for entry in entries),
            "adopted": steps["uncertain", "submitted"],
            "requeued": steps["uncertain", "queued"],
            "watermarks removed": sum(
                order.state is State.STORED and order.source_order_id is not None for order in evidence.orders
            ),
            "with files of the team's own": sum(
                "#sha256=" in str(order.request) for order in evidence.orders
            ),
            "transfers again": steps["succeeded", "succeeded"],
        }
    )


def _owned_one_to_one(evidence: Evidence) -> Iterator[str]:
    owners = {order.task_id: order for order in evidence.orders if order.task_id}
    for task_id in evidence.tasks.keys() - owners.keys():
        yield f"task {task_id} is billed and belongs to no order"
    for task_id, order in owners.items():
        task = evidence.tasks.get(task_id)
        if task is None:
            yield f"order {order.order_id} owns task {task_id}, which the vendor never made for this account"
        elif as_ordered(task["request"]) != as_sent(order):
            yield f"order {order.order_id} owns task {task_id}, which renders something else"


def _ordered_once(evidence: Evidence) -> Iterator[str]:
    groups: defaultdict[_Identity, list[Order]] = defaultdict(list)
    for order in evidence.orders:
        groups[order.fingerprint, order.take, order.scope].append(order)
    wanted = _wanted(evidence)
    # A video that was never made has no watermark to remove.
    needed = {name for name, source in wanted.items() if source is None or not _all_failed(groups[source])}
    if not groups.keys() <= wanted.keys() or not (
        needed <= groups.keys() or evidence.environment.plan.policy.budgets
    ):
        yield f"orders are missing or superfluous: {sorted(groups.keys() ^ needed)}"
    for name, orders in groups.items():
        attempts = sorted(order.attempt for order in orders)
        if attempts != list(range(1, len(orders) + 1)):
            yield f"{name} has the attempts {attempts}"
        paid = [order.idempotency_key for order in orders if order.state is not State.FAILED]
        # Runs of other sets that regenerate each want a video of their own for the same request.
        wishes = set(paid) if evidence.environment.plan.regenerate else set(paid[:1])
        if len(paid) > len(wishes):
            yield f"{name} was ordered again although an order of {sorted(wishes)} did not fail"
        for order in orders:
            if order.state is State.FAILED and order.error_class not in _classes(order, evidence):
                yield f"order {order.order_id} failed because of {order.error_class}: {order.error_message}"


def _wanted(evidence: Evidence) -> dict[_Identity, _Identity | None]:
    """Return the orders that must exist, each removal of a watermark with the order of its video."""
    wanted: dict[_Identity, _Identity | None] = {}
    for prompts in evidence.environment.plan.sets:
        for partition in prompts.partitions.values():
            name, source = (partition.fingerprint, partition.take, partition.scope), None
            if partition.request.remove_watermark:
                source = (fingerprint(partition.request.with_watermark), partition.take, partition.scope)
                wanted.setdefault(source, None)
            wanted[name] = source
    return wanted


def _all_failed(orders: Iterable[Order]) -> bool:
    return all(order.state in {State.FAILED, State.REJECTED} for order in orders)


def _classes(order: Order, evidence: Evidence) -> set[str]:
    """Return the classes with which an order may have failed."""
    if order.task_id is None:
        return ENDS_WITHOUT_TASK | ({WITHDRAWN} if order.source_order_id is not None else set())
    task = evidence.tasks.get(order.task_id, {})
    return {ENDS_BY_OUTCOME.get(str(task.get("outcome")), "vendor")}


def _money(evidence: Evidence) -> Iterator[str]:
    summary = evidence.books["summary"]
    if not summary["balanced"]:
        yield "the vendor's own accounts are not balanced"
    if summary["key_leaks"]:
        yield f"the API key reached the file host: {evidence.books['key_leaks']}"
    for order in evidence.orders:
        task = evidence.tasks.get(str(order.task_id))
        if task is None:
            continue
        if order.estimated_points != task["points_price"]:
            estimate, price = order.estimated_points, task["points_price"]
            yield f"order {order.order_id} is estimated at {estimate}, its price is {price}"
        charged = task["points_charged"] + task["points_penalty"]
        points = order.points_charged or 0
        if points != charged:
            yield f"order {order.order_id} has {points} points booked; the vendor charged {charged}"
    booked = sum(order.points_charged or 0 for order in evidence.orders)
    ours = sum(task["points_charged"] + task["points_penalty"] for task in evidence.tasks.values())
    if booked != ours:
        yield f"{booked} points are booked in all; the vendor charged {ours}"


def _budget(evidence: Evidence) -> Iterator[str]:
    """Check that the journal never has more points reserved and charged than the budget."""
    for budget in evidence.environment.plan.policy.budgets:
        orders = {order.order_id: order for order in evidence.orders}
        used: dict[int, int] = {}
        for entry in evidence.journal:
            order = orders[entry.order_id]
            ended = entry.to_state not in OPEN or entry.to_state == State.SUCCEEDED
            charged = order.points_charged or 0
            # A charge above the reservation is the vendor's decision.
            used[entry.order_id] = min(charged, order.reserved_points) if ended else order.reserved_points
            if sum(used.values()) > budget.points:
                yield f"{budget}: {sum(used.values())} points were in use after {entry}"
                return


def _journals(evidence: Evidence) -> Iterator[str]:
    journals: defaultdict[int, list[JournalEntry]] = defaultdict(list)
    for entry in evidence.journal:
        journals[entry.order_id].append(entry)
    for order in evidence.orders:
        state: str | None = None
        for entry in journals[order.order_id]:
            legal = (
                {"queued"} if state is None else {following.value for following in TRANSITIONS[State(state)]}
            )
            if entry.from_state != state or entry.to_state not in legal:
                yield f"order {order.order_id}: journal goes from {state} to {entry}"
            state = entry.to_state
        if state != order.state:
            yield f"order {order.order_id} is {order.state}, its journal ends with {state}"


def _leases(evidence: Evidence) -> Iterator[str]:
    if evidence.living_leases:
        yield f"orders are still leased by {evidence.living_leases}, which have stopped"


def _stored(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders:
        if order.state is not State.STORED:
            continue
        video = evidence.objects.get(str(order.video_key))
        manifest = evidence.objects.get(str(order.manifest_key))
        poster = evidence.objects.get(str(order.poster_key))
        if video is None or manifest is None or poster is None:
            yield f"order {order.order_id} is stored, but not all of its objects exist"
            continue
        fields = json.loads(manifest)
        if not hashlib.sha256(video).hexdigest() == order.sha256 == fields["sha256"]:
            yield f"order {order.order_id}: bytes, ledger and manifest have different hashes"
        if not len(video) == order.size_bytes == fields["size_bytes"]:
            yield f"order {order.order_id}: bytes, ledger and manifest have different sizes"
        if not poster.startswith(b"\xff\xd8"):
            yield f"order {order.order_id}: the poster is not a JPEG"
        for name in ("task_id", "prompt_set", "partition", "fingerprint", "attempt", "points_charged"):
            if fields[name] != getattr(order, name):
                yield f"order {order.order_id}: {name} is {fields[name]} in the manifest"
        yield from _renders(order, video)


def _renders(order: Order, video: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(video)
        file.flush()
        seconds = probe(Path(file.name)).duration_s
        if abs(seconds - order.request["duration"]) > 0.1:
            yield f"order {order.order_id}: the video lasts {seconds} s"
        with av.open(file.name) as container:
            comment = container.metadata.get("comment", "")
        if order.request["prompt"] not in comment:
            yield f"order {order.order_id}: the video shows another prompt: {comment}"


def _bucket(evidence: Evidence) -> Iterator[str]:
    known = {
        object_keys(
            evidence.store.prefix, order.prompt_set, order.partition, order.fingerprint, order.attempt
        ).manifest
        for order in evidence.orders
        if order.state in {State.SUCCEEDED, State.STORED}
    }
    for key in evidence.objects:
        # A killed check of the bucket leaves an object that is not a video's.
        if key.endswith("/manifest.json") and key not in known:
            yield f"the ledger knows nothing of the manifest at {key}"

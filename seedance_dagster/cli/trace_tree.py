"""A trace as a tree in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from seedance_dagster.cli.output import usd
from seedance_dagster.ledger.order import Reported
from seedance_dagster.money import points_to_usd
from seedance_dagster.storage.manifest import Reference
from seedance_dagster.trace.models import (
    CredentialTrace,
    FileTrace,
    OrderTrace,
    PartitionTrace,
    RequestTrace,
    Step,
    TaskTrace,
    Trace,
)
from seedance_dagster.trace.origin import Form

_FIRST_STEPS, _LAST_STEPS = 4, 6  # of a long journal
_IN_S3 = {
    "there": "in S3",
    "missing": "MISSING in S3",
    "other size": "ANOTHER SIZE in S3",
    None: "not looked at in S3",
}
_TOLD = {
    None: "not told of a task",
    Reported.SUBMITTED: "told of the task, not of a video",
    Reported.STORED: "told of the task and the video",
    Reported.OBSERVED: "told of the task and the video, and shows another one",
}


def draw(trace: Trace) -> Tree:
    """The whole chain, the thing that was asked about marked.

    Texts of people and of the vendor stand as they are, without control characters.
    """
    tree = Tree(_text(f"{trace.form} {trace.given} (all times are UTC)", "bold"))
    for note in trace.notes:
        tree.add(_text(f"Note: {note}", "yellow"))
    if trace.credential is not None:
        _add_credential(tree, trace.credential)
    for partition in trace.partitions:
        _add_partition(tree, partition, here=trace.form is Form.PARTITION)
    return tree


def _add_credential(tree: Tree, found: CredentialTrace) -> None:
    by = f"{found.state}, signed by {found.signed_by or 'nobody named'}"
    says = {"task": found.task_id, "model": found.model, "sha256 as delivered": found.delivered_sha256}
    branch = tree.add(_text(f"Content credential: {by}", "red" if found.state == "invalid" else ""))
    branch.add(_text(f"It says: {_pairs(says)}"))
    for reason in found.reasons:
        branch.add(_text(reason))


def _add_partition(tree: Tree, partition: PartitionTrace, *, here: bool) -> None:
    count = sum(len(request.orders) for request in partition.requests)
    head = (
        f"Prompt {partition.prompt_set}/{partition.partition}: {count} order{'s' * (count != 1)}, "
        f"{partition.in_flight} in flight, {_usd(partition.points_charged)} charged"
    )
    branch = tree.add(_line(head, here=here))
    for request in partition.requests:
        _add_request(branch, request)
    told = partition.told_fingerprint
    if told is not None and not any(request.asked_now for request in partition.requests):
        branch.add(
            _text(f"Request {told[:12]}, which the prompt set asks for now: not ordered yet", "yellow")
        )


def _add_request(tree: Tree, request: RequestTrace) -> None:
    now = ", which the prompt set asks for now" if request.asked_now else ""
    branch = tree.add(_text(f"Request {request.fingerprint[:12]}{now}"))
    branch.add(_text(request.prompt))
    branch.add(_text(_pairs(request.parameters)))
    _add_references(branch, request.references)
    for order in request.orders:
        _add_order(branch, order, request)


def _add_references(tree: Tree, references: Sequence[Reference]) -> None:
    for each in references:
        known = "nothing more is known" if each.facts is None else _pairs(dict(each.facts))
        tree.add(_text(f"@{each.kind}{each.position} {each.url}: {known}"))


def _add_order(tree: Tree, order: OrderTrace, request: RequestTrace) -> None:
    flight = ", in flight" if order.in_flight else ""
    shown = ", what the partition shows" if order.shown else ""
    here = _marked_line(order)
    head = f"Order {order.order_id}, attempt {order.attempt}: {order.state}{flight}{shown}"
    branch = tree.add(_line(head, here=here == "order"))
    job = f" of job {order.job_name}" if order.job_name else ""
    branch.add(_text(f"Ordered by run {order.run_id}{job}, for {order.idempotency_key}"))
    for name, tags in (("Tags of the prompt", order.tags), ("Tags of the run", order.run_tags)):
        if tags:
            branch.add(_text(f"{name}: {_pairs(tags)}"))
    if order.references != request.references:
        _add_references(branch, order.references)
    branch.add(_text(", ".join(_times(order))))
    branch.add(
        _text(f"Estimated {_usd(order.estimated_points)} by {order.price_table}: {order.price_formula}")
    )
    if order.error_message:
        kind = f" ({order.error_class})" if order.error_class else ""
        branch.add(_text(f"Trouble{kind}: {order.error_message}", "red"))
    if order.task is not None:
        _add_task(branch, order.task, here=here == "task")
    for file in order.files:
        _add_file(branch, file, order, here)
    branch.add(_text(f"Dagster was {_TOLD[order.reported]}"))
    _add_journal(branch, order.journal)


def _marked_line(order: OrderTrace) -> str | None:
    """Which line of an order to mark: its own where what was asked about has none."""
    lines = {file.kind for file in order.files} | {"task", "video as delivered"}
    return order.mark if order.mark is None or order.mark in lines else "order"


def _times(order: OrderTrace) -> Iterator[str]:
    yield f"Accepted {_at(order.ordered_at)}"
    if order.submitted_at is not None:
        yield f"submitted {_at(order.submitted_at)}"
    if order.finished_at is not None:
        yield f"finished {_at(order.finished_at)}"


def _add_task(tree: Tree, task: TaskTrace, *, here: bool) -> None:
    times = (("made", task.created_at), ("started", task.started_at), ("ended", task.ended_at))
    told = [f"{word} {_at(at)}" for word, at in times if at is not None]
    money = (("held", task.points_held), ("charged", task.points_charged))
    told += [f"{word} {points:,} points ({_usd(points)})" for word, points in money if points is not None]
    branch = tree.add(_line(f"Task {task.task_id}: {', '.join(told)}", here=here))
    for line in task.logs:
        branch.add(_text(line))


def _add_file(tree: Tree, file: FileTrace, order: OrderTrace, here: str | None) -> None:
    told = [f"{file.kind.capitalize()} {file.uri}"]
    if file.size_bytes is not None:
        told.append(f"{file.size_bytes:,} bytes")
    if file.kind == "video" and order.duration_s is not None:
        told.append(f"{order.duration_s:g} s, {order.width}x{order.height}")
    told.append(_IN_S3[file.in_s3])
    bad = file.in_s3 in ("missing", "other size")
    branch = tree.add(_line(", ".join(told), here=here == file.kind, style="red" if bad else ""))
    if file.sha256 is not None:
        branch.add(_text(f"sha256 {file.sha256}"))
    if file.kind != "video":
        return
    if order.delivered_sha256 not in (None, file.sha256) or here == "video as delivered":
        branch.add(_line(f"sha256 as delivered {order.delivered_sha256}", here=here == "video as delivered"))
    if order.credential:
        branch.add(_text(f"Content credential: {_pairs(order.credential)}"))


def _add_journal(tree: Tree, journal: Sequence[Step]) -> None:
    branch = tree.add(_text("Journal"))
    left_out = len(journal) - _FIRST_STEPS - _LAST_STEPS
    for number, step in enumerate(journal):
        if left_out > 1 and number == _FIRST_STEPS:
            branch.add(_text(f"... {left_out} more, which --json shows"))
        if left_out <= 1 or not _FIRST_STEPS <= number < len(journal) - _LAST_STEPS:
            detail = f": {_pairs(step.detail)}" if step.detail else ""
            branch.add(_text(f"{_at(step.at)} {step.to_state} by {step.actor}{detail}"))


def _line(words: str, *, here: bool, style: str = "") -> Text:
    return _text(f"-> {words}", "bold green") if here else _text(words, style)


def _text(words: str, style: str = "") -> Text:
    return Text("".join(each if each.isprintable() else " " for each in words), style)


def _pairs(values: Mapping[str, Any]) -> str:
    told = {name: _pairs(each) if isinstance(each, Mapping) else each for name, each in values.items()}
    return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _usd(points: int) -> str:
    return f"{usd(points_to_usd(points))} USD"

"""A trace as a tree in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text
from rich.tree import Tree

from seedance_dagster.cli.output import printable
from seedance_dagster.counting import counted
from seedance_dagster.ledger.order import Reported
from seedance_dagster.money import usd_text
from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.prompts.thresholds import value_text
from seedance_dagster.storage.manifest import Reference
from seedance_dagster.trace.chain import Trace, TracedFile, TracedOrder, TracedPartition
from seedance_dagster.trace.origin import Form

if TYPE_CHECKING:
    from seedance_dagster.media.credentials import Credential

_FIRST_STEPS, _LAST_STEPS = 4, 6  # of a long journal
_IN_S3 = {
    "present": "in S3",
    "missing": "MISSING in S3",
    "other size": "ANOTHER SIZE in S3",
    None: "not looked up in S3",
}
_REPORTED = {
    None: "Nothing was reported to Dagster",
    Reported.ORDERED: "The order was reported to Dagster, not its task",
    Reported.SUBMITTED: "The task was reported to Dagster, not a video",
    Reported.STORED: "Task and video were reported to Dagster",
    Reported.OBSERVED: "Task and video were reported to Dagster, whose partition shows another video",
    Reported.ENDED: "Its end without a video was reported to Dagster",
}


def draw(trace: Trace) -> Tree:
    """Return the whole chain as a tree, in which an arrow marks the thing that the user named.

    Texts of users and of the vendor are shown as they are, without control characters.
    """
    origin = trace.origin
    tree = Tree(_text(f"{origin.form} {origin.subject} (all times are UTC)", "bold"))
    for note in origin.notes:
        tree.add(_text(f"Note: {note}", "yellow"))
    if origin.credential is not None:
        _add_credential(tree, origin.credential)
    for partition in trace.partitions:
        _add_partition(tree, trace, partition)
    return tree


def _add_partition(tree: Tree, trace: Trace, partition: TracedPartition) -> None:
    head = (
        f"Prompt {partition.prompt_set}/{partition.partition}: {counted(len(partition.orders), 'order')}, "
        f"{partition.in_flight} in flight, {usd_text(partition.points_charged)} charged"
    )
    branch = tree.add(_line(head, here=trace.origin.form is Form.PARTITION))
    by_request: dict[str, list[TracedOrder]] = {}
    for traced in partition.orders:
        by_request.setdefault(traced.order.fingerprint, []).append(traced)
    for fingerprint, orders in by_request.items():
        _add_request(branch, trace, orders, is_current=fingerprint == partition.reported)
    if partition.reported is not None and partition.reported not in by_request:
        waiting = f"Request {partition.reported[:12]}, the prompt set's current one: not ordered yet"
        branch.add(_text(waiting, "yellow"))


def _add_request(tree: Tree, trace: Trace, orders: Sequence[TracedOrder], *, is_current: bool) -> None:
    newest = orders[-1]
    request = newest.order.request
    current = ", the prompt set's current one" if is_current else ""
    branch = tree.add(_text(f"Request {newest.order.fingerprint[:12]}{current}"))
    branch.add(_text(str(request.get("prompt", ""))))
    shown_apart = {name for name in request if name == "prompt" or name.endswith("_urls")}
    branch.add(_text(_pairs({name: request[name] for name in request if name not in shown_apart})))
    _add_references(branch, newest.references)
    for traced in orders:
        _add_order(branch, trace, traced, known=newest.references)


def _add_order(tree: Tree, trace: Trace, traced: TracedOrder, *, known: Sequence[Reference]) -> None:
    order, columns, here = traced.order, traced.redacted, _marked_line(traced)
    flight = ", in flight" if traced.in_flight else ""
    shown = ", shown by the partition" if traced.shown else ""
    head = f"Order {order.order_id}, attempt {order.attempt}: {order.state}{flight}{shown}"
    branch = tree.add(_line(head, here=here == "order"))
    job = f" of job {order.job_name}" if order.job_name else ""
    branch.add(_text(f"Take {order.take}, made for {order.prompt_set}/{order.partition}"))
    if order.source_order_id is not None:
        branch.add(_text(f"Takes the watermark off the video of order {order.source_order_id}"))
    branch.add(_text(f"Ordered by run {order.run_id}{job}, idempotency key {order.idempotency_key}"))
    for name, tags in (("Tags of the prompt", columns["tags"]), ("Tags of the run", columns["run_tags"])):
        if tags:
            branch.add(_text(f"{name}: {_pairs(tags)}"))
    if traced.references != known:
        _add_references(branch, traced.references)
    branch.add(_text(", ".join(_times(traced))))
    estimate = f"{usd_text(order.estimated_points)} by {order.price_table}: {order.price_formula}"
    branch.add(_text(f"Estimated {estimate}"))
    if order.error_message:
        kind = f" ({order.error_class})" if order.error_class else ""
        branch.add(_text(f"Problem{kind}: {columns['error_message']}", "red"))
    if order.task_id is not None:
        _add_task(branch, traced, here=here == "task")
    for file in traced.files:
        _add_file(branch, trace, file, traced, here)
    branch.add(_text(_REPORTED[traced.reported]))
    for result in traced.scores:
        values = ", ".join(f"{name} {value_text(value)}" for name, value in result.values.items())
        text = values or result.problem or "no values"
        branch.add(_text(f"Score {result.score} {result.version}: {text}", "red" if result.problem else ""))
    for verdict in traced.verdicts:
        note = f": {redact(verdict.note, redact_url)}" if verdict.note else ""
        undo = ", taking back the verdict before" if verdict.undoes else ""
        head = (
            f"{verdict.verdict.capitalize()} by {verdict.reviewer}, {_at(verdict.given_at)} UTC{undo}{note}"
        )
        branch.add(_text(head))
    _add_journal(branch, trace, traced)


def _add_file(tree: Tree, trace: Trace, file: TracedFile, traced: TracedOrder, here: str | None) -> None:
    order, in_s3 = traced.order, trace.in_s3(file)
    parts = [f"{file.kind.capitalize()} {trace.uri(file)}"]
    if file.size_bytes is not None:
        parts.append(f"{file.size_bytes:,} bytes")
    if file.kind == "video" and order.duration_s is not None:
        parts.append(f"{order.duration_s:g} s, {order.width}x{order.height}")
    style = "red" if in_s3 in ("missing", "other size") else ""
    branch = tree.add(_line(", ".join([*parts, _IN_S3[in_s3]]), here=here == file.kind, style=style))
    if file.sha256 is not None:
        branch.add(_text(f"sha256 {file.sha256}"))
    if file.kind != "video":
        return
    as_delivered = here == "video as delivered"
    if order.delivered_sha256 not in (None, file.sha256) or as_delivered:
        branch.add(_line(f"sha256 as delivered {order.delivered_sha256}", here=as_delivered))
    if order.credential:
        branch.add(_text(f"Content credential: {_pairs(redact(order.credential))}"))


def _add_credential(tree: Tree, credential: Credential) -> None:
    state = f"{credential.state}, signed by {credential.signed_by or 'an unnamed signer'}"
    branch = tree.add(_text(f"Content credential: {state}", "red" if credential.state == "invalid" else ""))
    content = {
        "task": credential.task_id,
        "model": credential.model,
        "sha256 as delivered": credential.delivered_sha256,
    }
    branch.add(_text(f"It says: {_pairs(content)}"))
    for reason in credential.reasons:
        branch.add(_text(reason))


def _add_references(tree: Tree, references: Sequence[Reference]) -> None:
    for reference in references:
        facts = "not checked" if reference.facts is None else _pairs(dict(reference.facts))
        tree.add(_text(f"@{reference.kind}{reference.position} {reference.url}: {facts}"))


def _marked_line(traced: TracedOrder) -> str | None:
    """Return the line of an order to mark: its first line if the thing that the user named has none."""
    lines = {file.kind for file in traced.files} | {"task", "video as delivered"}
    return traced.mark if traced.mark is None or traced.mark in lines else "order"


def _times(traced: TracedOrder) -> Iterator[str]:
    yield f"Ordered {_at(traced.order.ordered_at)}"
    if traced.order.submitted_at is not None:
        yield f"submitted {_at(traced.order.submitted_at)}"
    if traced.finished_at is not None:
        yield f"finished {_at(traced.finished_at)}"


def _add_task(tree: Tree, traced: TracedOrder, *, here: bool) -> None:
    order = traced.order
    times = {
        "created": order.vendor_created_at,
        "started": order.vendor_started_at,
        "ended": order.vendor_ended_at,
    }
    money = {"held": order.points_held, "charged": order.points_charged}
    parts = [f"{word} {_at(at)}" for word, at in times.items() if at is not None]
    parts += [
        f"{word} {points:,} points ({usd_text(points)})"
        for word, points in money.items()
        if points is not None
    ]
    branch = tree.add(_line(f"Task {order.task_id}: {', '.join(parts)}", here=here))
    for line in redact(order.vendor_logs or []):
        branch.add(_text(line))


def _add_journal(tree: Tree, trace: Trace, traced: TracedOrder) -> None:
    branch, journal = tree.add(_text("Journal")), traced.journal
    for archived in traced.archived:
        entries = f"{counted(archived.count, 'entry', 'entries')} in the archive {trace.uri(archived.part)}"
        if archived.problem is None:
            branch.add(_text(f"With {entries}"))
        else:
            branch.add(_text(f"Without {entries}: {archived.problem}", "red"))
    left_out = len(journal) - _FIRST_STEPS - _LAST_STEPS
    for number, entry in enumerate(journal):
        if left_out > 1 and number == _FIRST_STEPS:
            branch.add(_text(f"... {left_out} more, see --json"))
        if left_out <= 1 or not _FIRST_STEPS <= number < len(journal) - _LAST_STEPS:
            detail = f": {_pairs(redact(entry.detail))}" if entry.detail else ""
            branch.add(_text(f"{_at(entry.at)} {entry.to_state} by {entry.actor}{detail}"))


def _line(words: str, *, here: bool, style: str = "") -> Text:
    return _text(f"-> {words}", "bold green") if here else _text(words, style)


def _text(words: str, style: str = "") -> Text:
    return Text(printable(words), style)


def _pairs(values: Mapping[str, Any]) -> str:
    flat = {name: _pairs(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    return ", ".join(f"{name} {value}" for name, value in flat.items() if value is not None)


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"

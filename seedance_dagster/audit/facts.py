"""The facts of an order as each source states them, in the names of the manifest and of the request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from seedance_dagster.api.echo import changes_between
from seedance_dagster.api.values import whole_number
from seedance_dagster.api.wire import (
    REFERENCE_KINDS,
    REMOVE_WATERMARK,
    GenerationRequest,
    HistoryRow,
    Task,
)
from seedance_dagster.audit.events import EVENT_FACTS
from seedance_dagster.audit.evidence import OrderFacts, Source
from seedance_dagster.audit.snapshots import InspectedObject, RecordedEvent, Snapshots, StorageSnapshot
from seedance_dagster.audit.storage import expected_manifest, manifest_key, media_of
from seedance_dagster.ledger.order import Order
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.storage.manifest import Manifest

Facts = dict[str, Any]

_URL_LISTS = tuple(f"{kind}_urls" for kind in REFERENCE_KINDS)
_NOT_FACTS = {"$schema", "schema_version", "request", "references"}
# The columns to compare of a row that cannot give a manifest; others hold URLs, which a manifest redacts.
_PLAIN_COLUMNS = sorted(
    (Manifest.model_fields.keys() & Order.__dataclass_fields__.keys())
    - {"request", "tags", "rights", "run_tags", "vendor_logs", "credential"}
)


def order_facts(order: Order, snapshots: Snapshots) -> OrderFacts:
    """Return the facts about an order, by source."""
    ledger = ledger_facts(order)
    manifest = _stored_manifest(order, ledger, snapshots.storage)
    event = event_of(order, snapshots)
    dagster = {} if event is None else _event_facts(event, snapshots.storage)
    dagster |= _task_event_facts(order, snapshots)
    task_id = _known_task(snapshots, order.task_id, manifest.get("task_id"), dagster.get("task_id"))
    task, row = snapshots.vendor.tasks.get(task_id), snapshots.vendor.history.get(task_id)
    statements = {
        Source.LEDGER: ledger | dict(to_jsonable_python({"booked_at": order.booked_at})),
        Source.VENDOR: vendor_facts(task, row, ledger),
        Source.DAGSTER: dagster,
        Source.MANIFEST: manifest,
        Source.OBJECTS: _object_facts(order, snapshots.storage),
    }
    states = {
        Source.LEDGER: order.state.value,
        Source.VENDOR: task.raw_status if task is not None else row.status if row is not None else "",
        Source.DAGSTER: "materialized" if event is not None else "",
        Source.MANIFEST: "written" if manifest else "",
        Source.OBJECTS: "there" if statements[Source.OBJECTS].get("video_key") else "",
    }
    return OrderFacts(statements, {source: state for source, state in states.items() if state})


def ledger_facts(order: Order) -> Facts:
    """Return the facts of a row, even of one that is too damaged to give a manifest."""
    body = expected_manifest(order)
    if body is not None:
        return manifest_facts(body)
    return dict(to_jsonable_python({name: getattr(order, name) for name in _PLAIN_COLUMNS}))


def manifest_facts(body: bytes) -> Facts:
    """Return the facts of a manifest; none if it cannot be read."""
    try:
        manifest = json.loads(body)
    except ValueError:
        return {}
    if not isinstance(manifest, dict):
        return {}
    facts = {name: value for name, value in manifest.items() if name not in _NOT_FACTS}
    request = manifest.get("request")
    if isinstance(request, dict) and isinstance(request.get("input"), dict):
        facts |= {name: [] for name in _URL_LISTS} | request["input"]
        facts["task_type"] = REMOVE_WATERMARK if manifest.get("source") else request.get("task_type")
    return facts


def vendor_facts(task: Task | None, row: HistoryRow | None, ordered: Mapping[str, Any]) -> Facts:
    """Return the facts that the vendor states.

    Args:
        task: The task as read on its own.
        row: Its row in the history.
        ordered: The facts of the order: an echo that the vendor changed in a known way counts as equal.
    """
    facts: Facts = {}
    if row is not None:
        facts |= {"task_id": row.task_id, "task_type": row.task_type or None, "points_charged": row.points}
    if task is not None:
        charged = {"points_charged": task.points_charged} if task.points_charged is not None else {}
        facts |= {
            "task_id": task.task_id,
            **charged,
            **to_jsonable_python(
                {
                    "vendor_created_at": task.created_at,
                    "vendor_started_at": task.started_at,
                    "vendor_ended_at": task.ended_at,
                }
            ),
            **echoed_request(task, ordered),
        }
    return facts


def echoed_request(task: Task, ordered: Mapping[str, Any]) -> Facts:
    """Return the fields of the request as a task echoes them; a field that it does not show is left out."""
    facts: Facts = {
        name: task.input[name]
        for name in GenerationRequest.model_fields
        if task.input.get(name) not in (None, "", [])
    }
    if task.task_type:
        facts["task_type"] = task.task_type
    if "duration" in facts:
        facts["duration"] = whole_number(facts["duration"])
    sent, echoed = ordered.get("prompt"), facts.get("prompt")
    if isinstance(sent, str) and isinstance(echoed, str) and changes_between(sent, echoed) is not None:
        facts["prompt"] = sent
    for name in _URL_LISTS:
        if isinstance(facts.get(name), list):
            facts[name] = _comparable_links(facts[name], ordered.get(name) or [])
    return facts


def event_of(order: Order, snapshots: Snapshots) -> RecordedEvent | None:
    """Return the event of an order's video: the newest of its partition, if that is about the order."""
    dagster = snapshots.dagster
    newest = dagster.newest.get((order.prompt_set, order.partition))
    if newest is not None and newest.task_id is not None and _is_about(newest, order):
        return newest
    return dagster.reported.get(str(order.task_id))


def _is_about(event: RecordedEvent, order: Order) -> bool:
    attempt = (event.metadata.get("seedance/fingerprint"), event.metadata.get("seedance/attempt"))
    same_video = event.data_version is not None and event.data_version == order.sha256
    return event.task_id == order.task_id or attempt == (order.fingerprint, order.attempt) or same_video


def _known_task(snapshots: Snapshots, *task_ids: str | None) -> str:
    """Return the first task that the vendor knows; the first of all where it knows none."""
    ids = [task_id for task_id in task_ids if task_id]
    vendor = snapshots.vendor
    known = (task_id for task_id in ids if task_id in vendor.history or vendor.tasks.get(task_id) is not None)
    return next(known, ids[0] if ids else "")


def _stored_manifest(order: Order, ledger: Facts, storage: StorageSnapshot) -> Facts:
    key = manifest_key(order, storage)
    if key in storage.inspected:
        inspected = storage.inspected[key]
        return {} if inspected is None or inspected.body is None else manifest_facts(inspected.body)
    # A manifest that was not read equals that of the ledger: the listing has its size and MD5.
    return dict(ledger) if key in storage.objects else {}


def _event_facts(event: RecordedEvent, storage: StorageSnapshot) -> Facts:
    facts: Facts = {
        fact: event.metadata[name] for name, fact in EVENT_FACTS.items() if name in event.metadata
    }
    for name in ("video_key", "manifest_key"):
        if isinstance(facts.get(name), str):
            facts[name] = facts[name].removeprefix(storage.uri(""))
    if event.data_version is not None:
        facts["sha256"] = event.data_version
    return facts


def _task_event_facts(order: Order, snapshots: Snapshots) -> Facts:
    """Return the facts that only the materialization of the task has; a hold of 0 says nothing."""
    event = snapshots.dagster.tasks.get((order.prompt_set, order.partition))
    attempt = (order.fingerprint, order.attempt)
    if event is None or attempt != tuple(
        map(event.metadata.get, ("seedance/fingerprint", "seedance/attempt"))
    ):
        return {}
    return {"points_held": event.metadata.get("seedance/points_held") or None}


def _object_facts(order: Order, storage: StorageSnapshot) -> Facts:
    """Return the facts about an order's objects, as far as these were listed and inspected."""
    facts: Facts = {}
    for media, prefix in zip(media_of(order), ("", "poster_"), strict=True):
        listed = storage.objects.get(media.key)
        inspected = storage.inspected.get(media.key)
        if listed is not None and (media.key not in storage.inspected or inspected is not None):
            facts |= {f"{media.name}_key": media.key, f"{prefix}size_bytes": listed.size_bytes}
            facts[f"{prefix}sha256"] = (inspected or InspectedObject()).sha256
    return facts


def _comparable_links(echoed: list[Any], ordered: list[Any]) -> list[Any]:
    # The vendor's own copies show only how many there are.
    if len(echoed) == len(ordered) and all(str(link).startswith("asset://") for link in echoed):
        return ordered
    return [strip_query(str(link)) for link in echoed]

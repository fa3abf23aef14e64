"""The events of prompts, tasks and videos, with their metadata and data versions."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

import dagster as dg

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.audit.snapshots import NOT_SUBMITTED
from seedance_dagster.counting import counted
from seedance_dagster.defs.events import AssetEvent
from seedance_dagster.defs.naming import PROMPTS, TASKS, VIDEOS, asset_key, version_tags
from seedance_dagster.ledger.order import RESERVED_STATES, Order
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.money import points_to_usd, usd_text
from seedance_dagster.net.redaction import strip_query
from seedance_dagster.storage.manifest import references_of
from seedance_dagster.storage.s3 import VideoStore


def prompt_materialization(
    prompt_set: str, partition: str, request: GenerationRequest, fingerprint: str, estimated_points: int
) -> dg.AssetMaterialization:
    """Return the event of a validated request, with its estimated cost."""
    shown = {
        # Reference URLs without their query, which may hold a signature; the manifest does the same.
        name: [strip_query(url) for url in value] if isinstance(value, list) else value
        for name, value in request.model_dump(mode="json", exclude_none=True).items()
    }
    return dg.AssetMaterialization(
        asset_key=asset_key(prompt_set, PROMPTS),
        partition=partition,
        description=f"{partition}: estimated at {usd_text(estimated_points)}",
        metadata={
            "request": dg.MetadataValue.json(shown),
            "seedance/prompt": dg.MetadataValue.text(request.prompt),
            "seedance/estimated_cost_usd": _usd(estimated_points),
            "seedance/fingerprint": fingerprint,
        },
        tags=version_tags(fingerprint),
    )


def task_event(
    order: Order, link: Link, made_from: dict[str, str], kind: type[AssetEvent] = dg.AssetMaterialization
) -> AssetEvent:
    """Return the event of an order or a submitted task for a partition; `made_from` tags its inputs."""
    return kind(
        asset_key=asset_key(link.prompt_set, TASKS),
        partition=link.partition,
        description=f"{link.partition}: {_task_summary(order)}",
        metadata=_made_for(order, link)
        | {
            "seedance/state": order.state.value,
            "seedance/task_id": order.task_id or NOT_SUBMITTED,
            "seedance/points_held": order.points_held or 0,
            "seedance/estimated_cost_usd": _usd(order.estimated_points),
            "seedance/fingerprint": order.fingerprint,
            "seedance/attempt": order.attempt,
        },
        tags=version_tags(task_version(order)) | made_from,
    )


def video_event(
    order: Order,
    link: Link,
    store: VideoStore,
    thumbnail_jpeg: bytes | None,
    made_from: dict[str, str],
    *,
    kind: type[AssetEvent] = dg.AssetMaterialization,
    watermark: str | None = None,
    gallery_url: str = "",
    video_url: str = "",
) -> AssetEvent:
    """Return the event of a video in S3 for a partition.

    Args:
        order: The order of the video.
        link: The partition.
        store: The bucket.
        thumbnail_jpeg: The picture that the event shows.
        made_from: The tags of its inputs.
        kind: A materialization, or an observation.
        watermark: Why the video still has a watermark that was to be removed.
        gallery_url: Where the gallery is served, which the event links to; empty for no link.
        video_url: The template of a link to the video itself, with `{key}`; empty for no link.
    """
    cost, source = order.video_points, order.source or {}
    # As the UI lists them: what a person wants to see comes first.
    metadata: dict[str, Any] = {
        "seedance/video_url": _browser_link(video_url, str(order.video_key)),
        "watch": _watch(gallery_url, link) if gallery_url else None,
        "poster": _poster(order, store, thumbnail_jpeg),
        "seedance/prompt": dg.MetadataValue.text(order.request["prompt"]),
        "dagster/uri": dg.MetadataValue.path(store.uri(str(order.video_key))),
        "seedance/task_id": order.task_id,
        "seedance/task_type": order.task_type,
        "seedance/mode": order.request["mode"],
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": order.attempt,
        # Left out where the vendor did not report it: unknown is not free.
        "seedance/cost_usd": None if cost is None else _usd(cost),
        "seedance/points_consumed": order.points_charged,
        "seedance/source_task_id": source.get("task_id"),
        "seedance/source_task_type": source.get("task_type"),
        "seedance/source_points_consumed": source.get("points_charged"),
        "seedance/watermark": watermark,
        "seedance/estimated_cost_usd": _usd(order.estimated_points + source.get("estimated_points", 0)),
        # SQLite returns a whole number as an int, and one name must keep one type.
        "seedance/duration_s": None if order.duration_s is None else float(order.duration_s),
        "seedance/width": order.width,
        "seedance/height": order.height,
        "seedance/codec": order.codec,
        "seedance/bit_depth": order.bit_depth,
        "seedance/hdr": order.hdr,
        "seedance/audio": _audio(order),
        "seedance/video_problem": order.video_problem,
        "seedance/queue_s": _seconds(order, "vendor_created_at", "vendor_started_at"),
        "seedance/render_s": _seconds(order, "vendor_started_at", "vendor_ended_at"),
        "seedance/size_bytes": order.size_bytes,
        "seedance/sha256": order.sha256,
        "seedance/credential": None if order.credential is None else dg.MetadataValue.json(order.credential),
        "seedance/manifest_uri": dg.MetadataValue.path(store.uri(str(order.manifest_key))),
        "seedance/references": _references(order),
        **_made_for(order, link),
    }
    return kind(
        asset_key=asset_key(link.prompt_set, VIDEOS),
        partition=link.partition,
        description=f"{link.partition}: stored{'' if cost is None else f', {usd_text(cost)}'}",
        metadata={name: value for name, value in metadata.items() if value is not None},
        tags=version_tags(str(order.sha256)) | made_from,
    )


def _browser_link(template: str, key: str) -> dg.UrlMetadataValue | None:
    return dg.MetadataValue.url(template.replace("{key}", quote(key))) if template else None


def _watch(gallery_url: str, link: Link) -> dg.UrlMetadataValue:
    query = urlencode({"set": link.prompt_set, "clip": link.partition})
    return dg.MetadataValue.url(f"{gallery_url}/?{query}")


def task_version(order: Order) -> str:
    """Return the data version of a task: the fingerprint of its request, and the attempt."""
    return f"{order.fingerprint}-a{order.attempt}"


def reasons_table(reasons: Iterable[tuple[str, str]]) -> dg.TableMetadataValue:
    """Return a table of partitions, each with a reason."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord({"partition": partition, "reason": reason}) for partition, reason in reasons],
        schema=dg.TableSchema(columns=[dg.TableColumn("partition"), dg.TableColumn("reason")]),
    )


def _task_summary(order: Order) -> str:
    """Return an order in a few words, such as "submitted, task 07ed, 0.32 USD held"."""
    if order.task_id is None:
        return f"{order.state}, estimated at {usd_text(order.estimated_points)}"
    is_final = order.state not in RESERVED_STATES and order.points_charged is not None
    money = "charged" if is_final else "held"
    points = (order.points_charged if is_final else order.points_held) or 0
    return f"{order.state}, task {order.task_id}, {usd_text(points)} {money}"


def _made_for(order: Order, link: Link) -> dict[str, Any]:
    """Return the partition that an order was made for, if it is another one."""
    made_for = f"{order.prompt_set}/{order.partition}"
    return {} if made_for == f"{link.prompt_set}/{link.partition}" else {"seedance/made_for": made_for}


def _references(order: Order) -> dg.JsonMetadataValue | None:
    """Return the address of each reference, with the hash of its content and when it was uploaded."""
    shown = []
    for reference in references_of(order):
        facts = {} if reference.facts is None else reference.facts.model_dump()
        known = {name: facts.get(name) for name in ("sha256", "uploaded_at")}
        place = {"reference": f"@{reference.kind}{reference.position}", "url": reference.url}
        shown.append(place | {name: value for name, value in known.items() if value is not None})
    return dg.MetadataValue.json(shown) if shown else None


def _usd(points: int) -> dg.FloatMetadataValue:
    return dg.MetadataValue.float(float(points_to_usd(points)))


def _seconds(order: Order, start: str, end: str) -> float | None:
    started, ended = getattr(order, start), getattr(order, end)
    if started is None or ended is None:
        return None
    seconds = round((ended - started).total_seconds(), 3)
    return seconds if seconds >= 0 else None  # one of the vendor's times is wrong


def _audio(order: Order) -> str | None:
    """Return a description of the sound, such as "aac, 2 channels, silent"."""
    if order.audio_channels is None:
        return None
    if order.audio_channels == 0:
        return "none"
    silent = "silent" if order.audio_silent else None
    facts = (order.audio_codec, counted(order.audio_channels, "channel"), silent)
    return ", ".join(filter(None, facts))


def _poster(order: Order, store: VideoStore, jpeg: bytes | None) -> dg.MarkdownMetadataValue:
    if order.poster_key is None:
        return dg.MetadataValue.md(f"none: {order.poster_problem}")
    if jpeg is None:
        return dg.MetadataValue.md(f"`{store.uri(order.poster_key)}`")
    return dg.MetadataValue.md(f"![poster](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})")

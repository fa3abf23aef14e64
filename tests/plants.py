"""Tables of differences to plant: one kind of damage a row, with the results of an audit and its repair.

A row says how the damage is planted, and gives each finding with the start of the repair's message, the
number of replaced objects that are kept, and the findings of a second audit (by default those that the
repair left).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from audit_world import VIDEO
from factories import NOW, POINTS, make_request
from planted import Planter

from seedance_dagster.api.wire import TaskStatus

SHOWN = "an audit only reports it"
FETCHED = "the next run fetches it again: ledger and "
CUT = "the poster was cut again from the stored video: ledger and Dagster agree on sha256"
WRITTEN = "written from the ledger: ledger and "
REPORTED = "reported to Dagster again: ledger and "
INDEX = "written and reported: ledger and "
RESTORED = "order 1 was restored: its manifest and the vendor's task agree"
DOUBT = "no second system confirms the ledger on "
DAMAGED = "the ledger's row is damaged: repair that first"
CONTRADICTED = "other sources contradict its manifest: "


class Plant(NamedTuple):
    """One kind of damage, its findings and their repair."""

    name: str
    plant: Callable[[Planter], object]
    findings: Mapping[str, str]
    kept: int = 0
    left: str | None = None


OTHER = hashlib.sha256(b"other").hexdigest()
INDEX_MANIFEST = "seedance/spots/index/_manifest.json"
INDEX_PART = "seedance/spots/index/part-00001.parquet"


def manifest_of(p: Planter) -> bytes:
    """Return the manifest as it is stored."""
    return p.world.store.objects[p.key("manifest")]


OTHER_PROMPT = make_request("a dog").model_dump(mode="json")
ROWS = [
    Plant("hash", lambda p: p.row(sha256="f" * 64), {"order_altered": SHOWN}),
    Plant("size", lambda p: p.row(size_bytes=7), {"order_altered": SHOWN}),
    Plant("charge", lambda p: p.row(points_charged=1), {"order_altered": SHOWN}),
    Plant("made-up task", lambda p: p.row(task_id="made-up"), {"order_altered": SHOWN}),
    Plant("prompt", lambda p: p.row(request=OTHER_PROMPT), {"order_altered": SHOWN}),
    Plant("fingerprint", lambda p: p.row(fingerprint="f" * 64), {"order_altered": SHOWN}),
    Plant("attempt", lambda p: p.row(attempt=7), {"order_altered": SHOWN}),
    Plant(
        "video key", lambda p: p.row(video_key="seedance/spots/p1/x-a1/video.mp4"), {"order_altered": SHOWN}
    ),
    Plant("no keys", lambda p: p.row(video_key=None, manifest_key=None), {"order_altered": SHOWN}),
    Plant(
        "charge, and no manifest",
        lambda p: (p.row(points_charged=1), p.lose("manifest")),
        {"order_altered": SHOWN, "manifest_lost": DAMAGED},
    ),
    Plant(
        "hash, and no poster",
        lambda p: (p.row(sha256="f" * 64), p.lose("poster")),
        {"order_altered": SHOWN, "missing_in_s3": DAMAGED},
    ),
    Plant(
        "tags",
        lambda p: p.row(tags={"a": "b"}),
        {"manifest_altered": DOUBT + "tags", "index_differs": DOUBT + "version"},
    ),
    Plant(
        "made-up task, and nothing else knows another",
        lambda p: (p.row(task_id="made-up"), p.lose("manifest"), p.wipe(), p.forget_task()),
        {
            "task_unknown": SHOWN,
            "manifest_lost": DOUBT + "task_id",
            "not_materialized": DOUBT + "task_id",
            "task_materialization_differs": DOUBT + "task_id",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant(
        "state",
        lambda p: p.row(state="failed"),
        {
            "journal_differs": SHOWN,
            "paid_not_stored": SHOWN,
            "materialization_differs": "no video is stored for its partition",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant("booked ahead", lambda p: p.row(booked_at=NOW + timedelta(days=1)), {"booking_differs": SHOWN}),
    Plant("booked early", lambda p: p.row(booked_at=NOW - timedelta(days=9)), {"booking_differs": SHOWN}),
    Plant("retry booked apart", lambda p: p.book_retry_apart(), {"booking_differs": SHOWN}),
    Plant("journal with a gap", lambda p: p.journal("claimed", "stored"), {"journal_differs": SHOWN}),
    Plant("journal with a wrong step", lambda p: p.journal("stored", "queued"), {"journal_differs": SHOWN}),
    Plant("no journal", lambda p: p.remove_journal(), {"journal_differs": SHOWN}),
    Plant(
        "removed",
        lambda p: p.remove_row(),
        {"missing_order": RESTORED, "index_differs": DOUBT + "version"},
        left="",
    ),
    Plant(
        "removed, and no manifest",
        lambda p: (p.remove_row(), p.lose("manifest")),
        {"missing_order": "there is no manifest to restore it from", "index_differs": DOUBT + "version"},
    ),
    Plant(
        "removed, and another charge in the manifest",
        lambda p: (p.remove_row(), p.manifest(points_charged=1)),
        {
            "missing_order": f"{CONTRADICTED}seedance/points_consumed, the vendor's charge",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant(
        "removed, and another duration in the manifest",
        lambda p: (p.remove_row(), p.manifest(duration=8)),
        {
            "missing_order": "the vendor's task does not confirm its manifest: duration",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant(
        "removed, another duration in the manifest, and the vendor is silent about it",
        lambda p: (p.remove_row(), p.manifest(duration=8), p.echo(duration=None)),
        {
            "missing_order": "the fingerprint in its manifest is another request's",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant(
        "removed, and the vendor does not know the task",
        lambda p: (p.remove_row(), p.forget_task()),
        {
            "missing_order": "the vendor does not know its task, and the manifest alone proves nothing",
            "index_differs": DOUBT + "version",
        },
    ),
    Plant(
        "removed, and another video in S3",
        lambda p: (p.remove_row(), p.put("video", VIDEO[::-1])),
        {"missing_order": f"{CONTRADICTED}the video hashes to", "index_differs": DOUBT + "version"},
    ),
]
VENDOR = [
    Plant("charge", lambda p: p.task(points_charged=2 * POINTS), {"charge_differs": SHOWN}),
    Plant("no charge", lambda p: p.task(points_charged=0), {"never_charged": SHOWN}),
    Plant("forgotten", lambda p: p.forget_task(), {"task_unknown": SHOWN}),
    Plant("prompt", lambda p: p.echo(prompt="a dog"), {"request_differs": SHOWN}),
    Plant("prompt in HTML", lambda p: p.echo(prompt=" cat&#32;1 "), {}),
    Plant("duration", lambda p: p.echo(duration=5), {"request_differs": SHOWN}),
    Plant("reference", lambda p: p.echo(image_urls=["https://a.example/b.png"]), {"request_differs": SHOWN}),
    Plant("model", lambda p: p.task(task_type="seedance-2"), {"request_differs": SHOWN}),
    Plant("failed", lambda p: p.task(status=TaskStatus.FAILED), {"state_differs": SHOWN}),
    Plant("running", lambda p: p.task(status=TaskStatus.PROCESSING), {"state_differs": SHOWN}),
    Plant("another program's", lambda p: p.foreign_task(), {"unmatched_task": SHOWN}),
]
OBJECTS = [
    Plant("no video", lambda p: p.lose("video"), {"missing_in_s3": FETCHED + "Dagster agree on sha256"}, 2),
    Plant("other video", lambda p: p.put("video", VIDEO[::-1]), {"bytes_changed": FETCHED + "Dagster"}, 3),
    Plant("shorter video", lambda p: p.put("video", b"v"), {"bytes_changed": FETCHED + "Dagster"}, 3),
    Plant("nothing", lambda p: p.lose("video", "poster", "manifest"), {"missing_in_s3": FETCHED + "Dagster"}),
    Plant(
        "nothing, in Dagster neither",
        lambda p: (p.lose("video", "poster", "manifest"), p.wipe()),
        {"missing_in_s3": FETCHED + "vendor agree on task_id", "not_materialized": "the next run repairs it"},
    ),
    Plant(
        "no video, and the vendor's is another request's",
        lambda p: (p.lose("video"), p.echo(prompt="a dog")),
        {
            "missing_in_s3": "the vendor's task is another request's: its prompt differs",
            "request_differs": SHOWN,
        },
    ),
    Plant(
        "other video, in Dagster too",
        lambda p: (p.put("video", b"other"), p.event(data_version=OTHER)),
        {"bytes_changed": DOUBT + "sha256", "materialization_differs": DOUBT + "sha256"},
    ),
    Plant("no poster", lambda p: p.lose("poster"), {"missing_in_s3": CUT}),
    Plant("other poster", lambda p: p.put("poster", b"jpeg"), {"bytes_changed": CUT}, 1),
    Plant("no poster and manifest", lambda p: p.lose("poster", "manifest"), {"missing_in_s3": CUT}),
    Plant("foreign file", lambda p: p.put("seedance/notes.txt", b"x"), {"unmatched_object": SHOWN}),
    Plant("copied folder", lambda p: p.copy_folder(), {"unmatched_object": SHOWN}),
    Plant("no index", lambda p: p.lose(INDEX_MANIFEST), {"index_differs": INDEX + "Dagster"}),
    Plant("other index", lambda p: p.put(INDEX_MANIFEST, b"{}"), {"index_differs": INDEX + "Dagster"}),
    Plant("no part", lambda p: p.lose(INDEX_PART), {"index_differs": INDEX + "Dagster"}),
    Plant("other part", lambda p: p.put(INDEX_PART, b"{}"), {"index_differs": INDEX + "Dagster"}),
]
MANIFESTS = [
    Plant("lost", lambda p: p.lose("manifest"), {"manifest_lost": WRITTEN + "Dagster agree on sha256"}),
    Plant("garbage", lambda p: p.put("manifest", b"{"), {"manifest_altered": WRITTEN + "Dagster"}, 1),
    Plant("spaces", lambda p: p.put("manifest", b" " + manifest_of(p)), {"manifest_altered": WRITTEN}, 1),
    Plant("charge", lambda p: p.manifest(points_charged=1), {"manifest_altered": WRITTEN + "vendor"}, 1),
    Plant("task", lambda p: p.manifest(task_id="x"), {"manifest_altered": WRITTEN}, 1),
    Plant("prompt", lambda p: p.manifest(prompt="a dog"), {"manifest_altered": WRITTEN + "vendor"}, 1),
    Plant("duration", lambda p: p.manifest(duration=9), {"manifest_altered": WRITTEN}, 1),
    Plant("hash", lambda p: p.manifest(sha256="f" * 64), {"manifest_altered": WRITTEN}, 1),
    Plant("tags", lambda p: p.manifest(tags={"a": "b"}), {"manifest_altered": DOUBT + "tags"}),
    Plant("run", lambda p: p.manifest(run_id="x"), {"manifest_altered": DOUBT + "run_id"}),
    Plant(
        "charge, in Dagster too",
        lambda p: (p.manifest(points_charged=1), p.event(points_consumed=1)),
        {
            "manifest_altered": DOUBT + "points_charged",
            "materialization_differs": DOUBT + "points_charged",
        },
    ),
]
DAGSTER = [
    Plant("wiped", lambda p: p.wipe(), {"not_materialized": REPORTED + "S3 manifest agree on sha256"}),
    Plant("both wiped", lambda p: (p.wipe(), p.wipe_task()), {"not_materialized": REPORTED}),
    Plant("charge", lambda p: p.event(points_consumed=1), {"materialization_differs": REPORTED + "vendor"}),
    Plant("version", lambda p: p.event(data_version="0"), {"materialization_differs": REPORTED}),
    Plant("another program's", lambda p: p.foreign_event(), {"materialization_differs": REPORTED}),
    Plant(
        "at another partition",
        lambda p: p.event(partition="p7"),
        {"materialization_differs": "it is at another video's partition: wipe it in Dagster"},
    ),
    Plant("submission observed", lambda p: p.ordered_first(observed=True), {}),
    Plant(
        "submission not observed",
        lambda p: p.ordered_first(observed=False),
        {"task_materialization_differs": REPORTED},
    ),
    Plant("task wiped", lambda p: p.wipe_task(), {"task_materialization_differs": REPORTED}),
    Plant("task", lambda p: p.task_event(task_id="x"), {"task_materialization_differs": REPORTED}),
    Plant("hold", lambda p: p.task_event(points_held=1), {"task_materialization_differs": REPORTED}),
    Plant("index wiped", lambda p: p.index_event(None), {"index_differs": INDEX + "S3 objects"}),
    Plant("index", lambda p: p.index_event("0"), {"index_differs": INDEX + "S3 objects"}),
]

PLANTS = {
    f"{where}: {plant.name}": plant
    for where, plants in [
        ("row", ROWS),
        ("vendor", VENDOR),
        ("S3", OBJECTS),
        ("manifest", MANIFESTS),
        ("Dagster", DAGSTER),
    ]
    for plant in plants
}

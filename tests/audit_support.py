"""A code location with references and faults, and damage done to its data by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from code_location import CodeLocation
from harness import API_KEY

from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import Order, State

# A run recovers automatically from each of these, except that rejected prompts have no video.
FAULTS = (
    "lost-reply",
    "500-with-task",
    "cut-reply",
    "truncated*1",
    "download-500*1",
    "expired*1",
    "late-url",
    "odd-status",
    "moderation*1",
    "moderation-early*1",
)


def prompts(files_url: str, count: int) -> dict[str, dict[str, Any]]:
    """Return prompts: every third with references, of each kind in turn, and every fourth with a fault."""
    rows = {}
    for number in range(count):
        references = _references(files_url, number)
        text = f"prompt {number}"
        if references:
            text += " like @image1" if "image_urls" in references else " like @video1"
        if number % 4 == 0:
            text += f" [fault:{FAULTS[number // 4 % len(FAULTS)]}]"
        rows[f"p{number:03d}"] = {"prompt": text} | references
    return rows


def _references(files_url: str, number: int) -> dict[str, Any]:
    if number % 3:
        return {}
    image = f"{files_url}/references/cat.png?ratio=16:9"
    video = f"{files_url}/references/walk.mp4?seconds=2"
    audio = f"{files_url}/references/song.wav?seconds=3"
    lists = (
        {"image_urls": [image]},
        {"video_urls": [video]},
        {"image_urls": [image], "audio_urls": [audio]},
    )
    return {"mode": "omni_reference", **lists[number // 3 % len(lists)]}


@dataclass(frozen=True)
class Vandal:
    """Someone who damages one source at a time, without the others noticing.

    Attributes:
        s3: A boto3 client.
        bucket: The bucket of the videos.
        ledger: The ledger's SQLite file.
        home: Dagster's folder.
        emulator_url: The address of the emulated vendor.
    """

    s3: Any
    bucket: str
    ledger: Path
    home: Path
    emulator_url: str

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def flip(self, key: str) -> None:
        """Change one byte of an object; its size and metadata stay."""
        stored = self.s3.get_object(Bucket=self.bucket, Key=key)
        body = bytearray(stored["Body"].read())
        body[len(body) // 2] ^= 1
        self._put(key, bytes(body), stored["Metadata"])

    def alter(self, key: str, **fields: Any) -> None:
        """Change fields of a manifest."""
        stored = self.s3.get_object(Bucket=self.bucket, Key=key)
        altered = json.loads(stored["Body"].read()) | fields
        self._put(key, json.dumps(altered, indent=2).encode(), stored["Metadata"])

    def remove_row(self, order: Order) -> None:
        """Delete an order's row from the ledger."""
        with closing(sqlite3.connect(self.ledger)) as ledger, ledger:
            ledger.execute("DELETE FROM seedance_orders WHERE order_id = ?", (order.order_id,))

    def wipe(self, partition: str, name: str = "spots") -> None:
        """Wipe the materializations of one partition's video."""
        database = self.home / "history" / "runs" / "index.db"
        with closing(sqlite3.connect(database)) as events, events:
            deleted = events.execute(
                "DELETE FROM event_logs WHERE asset_key = ? AND partition = ?",
                (json.dumps([name, "videos"]), partition),
            )
            assert deleted.rowcount

    def foreign_task(self) -> str:
        """Create a task as another program with the same key would."""
        body = {"model": "seedance", "task_type": "seedance-2"}
        input_ = {"prompt": "another program's", "mode": "text_to_video", "duration": 4}
        reply = httpx.post(
            f"{self.emulator_url}/emulator/tasks", json=body | {"input": input_}, trust_env=False
        )
        return str(reply.json()["task_id"])

    def charge(self, order: Order, points: int) -> None:
        """Let the vendor charge another amount."""
        body = {"task_id": order.task_id, "points": points}
        assert httpx.post(f"{self.emulator_url}/emulator/charge", json=body, trust_env=False).is_success

    def _put(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata=metadata)

    def plant(self, orders: Sequence[Order]) -> dict[str, Order]:
        """Do seven kinds of damage; return the order of each kind of finding that has one."""
        lost, changed, altered, removed, wiped, charged, *_ = orders
        self.delete(str(lost.video_key))
        self.flip(str(changed.video_key))
        self.alter(str(altered.manifest_key), points_charged=1)
        self.remove_row(removed)
        self.wipe(wiped.partition)
        self.foreign_task()
        self.charge(charged, 2 * int(charged.points_charged or 0))
        return {
            "missing_in_s3": lost,
            "bytes_changed": changed,
            "manifest_altered": altered,
            "missing_order": removed,
            "not_materialized": wiped,
            "charge_differs": charged,
        }


def vandal_at(location: CodeLocation) -> Vandal:
    """Return a vandal for a code location."""
    store, folder = location.store, location.folder
    return Vandal(store.client, store.bucket, folder / "ledger.db", folder / "home", location.emulator.url)


def audit(
    location: CodeLocation, s3: S3Service, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> tuple[dict[str, Any], Result]:
    """Run `seedance-dagster audit --json` on a code location; return its document and result."""
    done = run(location, s3, monkeypatch, "--json", *arguments)
    assert done.stdout, done.output
    return json.loads(done.stdout), done


def run(location: CodeLocation, s3: S3Service, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Run `seedance-dagster audit` on a code location."""
    home = location.folder / "home"
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environ = {
        **s3.environ,
        "DAGSTER_HOME": str(home),
        "SEEDANCE_S3_PREFIX": location.folder.name,
        "SEEDANCE_LEDGER_URL": f"sqlite:///{location.folder}/ledger.db",
        "GOAPI_BASE_URL": location.emulator.url,
        "GOAPI_API_KEY": API_KEY,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(location.folder)
    return CliRunner().invoke(root, ["audit", *arguments], catch_exceptions=False)


def kinds(document: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the kind and the partition of each finding."""
    return [(finding["kind"], finding["partition"]) for finding in document["findings"]]


def stored(location: CodeLocation, name: str = "spots") -> list[Order]:
    """Return the orders with a video, the oldest first."""
    with location.ledger() as ledger:
        return ledger.queries.find(prompt_set=name, states={State.STORED})

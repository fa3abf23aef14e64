"""`trace` on a real video: from the emulator through S3 to a renamed file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.cli.root import root
from seedance_dagster.engine.events import Stored
from seedance_dagster.storage.s3 import VideoStore

pytestmark = pytest.mark.integration


@pytest.fixture
def command(
    start_engine, store: VideoStore, s3_server: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run `trace` with the plant's ledger and bucket in the environment."""
    settings = s3_server.environ | {
        "SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "SEEDANCE_S3_BUCKET": store.bucket,
        "SEEDANCE_S3_PREFIX": store.prefix,
        "AWS_ENDPOINT_URL_S3": s3_server.url,
    }

    def run(*arguments: str, **others: str) -> Result:
        with monkeypatch.context() as patched:
            patched.setattr("os.environ", settings | others)
            patched.chdir(tmp_path)
            return CliRunner().invoke(root, ["trace", *arguments])

    return run


def chain(done: Result) -> list[dict[str, Any]]:
    """Return the orders of the one partition that was found."""
    assert done.exit_code == 0, done.output
    [partition] = json.loads(done.stdout)["partitions"]
    orders: list[dict[str, Any]] = partition["orders"]
    return orders


@pytest.mark.long
def test_a_downloaded_and_renamed_video_finds_its_prompt(start_engine, store, command, tmp_path) -> None:
    """Bytes, URI, hash and task of a video lead to the same order, with its files in S3."""
    with start_engine() as engine:
        events = engine.run(engine.place("a cat in the rain", "a dog in the sun"))
        stored = {event.order.partition: event.order for event in events if isinstance(event, Stored)}
        cat = stored["p0"]
        path = tmp_path / "elsewhere" / "Holiday (final) 2.mp4"
        path.parent.mkdir()
        path.write_bytes(store.get_bytes(cat.video_key))
        for thing in (str(path), store.uri(cat.video_key), cat.sha256, cat.task_id, "spots/p0"):
            [order] = chain(command(thing, "--json"))
            assert (order["order_id"], order["state"]) == (cat.order_id, "stored")
            assert order["mark"] == {cat.task_id: "task", "spots/p0": None}.get(thing, "video")
            assert [file["in_s3"] for file in order["files"]] == ["present"] * 3
        [order] = chain(command(cat.task_id, "--json", SEEDANCE_S3_PREFIX="another/now"))
        assert [file["in_s3"] for file in order["files"]] == ["present"] * 3
        output = command(str(path)).stdout
        assert "a cat in the rain" in output
        assert f"-> Video {store.uri(cat.video_key)}" in output
        assert cat.task_id in output
        assert "a dog in the sun" not in output


def test_missing_and_altered_files_are_shown(start_engine, store, command, tmp_path) -> None:
    """Files in S3 are compared with the ledger; a file with a changed byte has no origin."""
    with start_engine() as engine:
        [event] = [event for event in engine.run(engine.place("a cat")) if isinstance(event, Stored)]
        cat = event.order
        body = store.get_bytes(cat.video_key)
        (tmp_path / "changed.mp4").write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        done = command("changed.mp4")
        assert done.exit_code == 1
        assert "has no video with the bytes of changed.mp4" in done.stderr
        store.client.delete_object(Bucket=store.bucket, Key=cat.manifest_key)
        store.put_bytes(cat.poster_key, b"x", content_type="image/jpeg", metadata={}, overwrite=True)
        [order] = chain(command(cat.task_id, "--json"))
        assert [file["in_s3"] for file in order["files"]] == ["present", "other size", "missing"]
        assert "MISSING in S3" in command(cat.task_id).stdout

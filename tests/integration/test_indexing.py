"""A set's index and Dagster's Unsynced badge, with real runs, a real S3 server and a webserver."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import httpx
import pyarrow.parquet as pq
import pytest
from code_location import QUIET, CodeLocation, running_location

from seedance_dagster.cli.environ import for_children, reference_definitions, unconfigured
from seedance_dagster.cli.local.ports import LOOPBACK, free_port
from seedance_dagster.cli.local.processes import running
from seedance_dagster.storage.index import index_row
from seedance_dagster.storage.manifest import Manifest

pytestmark = [pytest.mark.integration, pytest.mark.long, QUIET]

PROMPTS = {"cat": "a cat", "dog": {"prompt": "a dog", "takes": 2}, "bad": "bad [fault:moderation]"}
GROUP = ("prompts", "tasks", "videos", "index")
PARTITIONED = ("prompts", "tasks", "videos")
KEYS = ["cat", "dog", "dog.t2"]
FRESH, STALE = "FRESH", "STALE"


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location of four partitions, one of which moderation always rejects."""
    with running_location(tmp_path_factory.mktemp("indexing"), s3_server, PROMPTS, on_disk=True) as location:
        yield location


@pytest.fixture(scope="module")
def first(location):
    """The first run of the partitioned assets, tagged with an owner."""
    return location.run("cat", "bad", tags={"owner": "ann"})


@pytest.fixture(scope="module")
def badges(location, first):
    """A function that asks the webserver for the stale status of everything, as the UI does."""
    with webserver(location) as url:
        yield lambda: stale(url)


@contextmanager
def webserver(location: CodeLocation) -> Iterator[str]:
    home, port = location.folder / "home", free_port()
    url = f"http://{LOOPBACK}:{port}"
    environ = for_children(unconfigured(os.environ)) | {
        "DAGSTER_HOME": str(home),
        "SEEDANCE_PROMPTS": str(location.folder / "prompts"),
    }
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    command = [sys.executable, "-m", "dagster_webserver", "--host", LOOPBACK, "--port", str(port)]
    command += ["--python-file", str(reference_definitions()), "--log-level", "warning"]
    with running(
        "the webserver", command, log=location.folder / "web.log", environ=environ, folder=home
    ) as child:
        child.wait_until(lambda: answers(url), within_s=120)
        yield url


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def stale(url: str) -> dict[str, str]:
    """Return stale statuses by `asset/partition`; the index has no partition."""
    wanted = [(asset, key) for asset in PARTITIONED for key in KEYS] + [("index", None)]
    parts = [
        f'a{number}: assetNodeOrError(assetKey: {{path: ["spots", "{asset}"]}}) {{ ... on AssetNode '
        f"{{ staleStatus{f'(partition: {json.dumps(key)})' if key else ''} }} }}"
        for number, (asset, key) in enumerate(wanted)
    ]
    reply = httpx.post(
        f"{url}/graphql", json={"query": f"query {{ {' '.join(parts)} }}"}, timeout=60, trust_env=False
    ).json()
    assert not reply.get("errors"), reply
    return {
        "/".join(filter(None, pair)): reply["data"][f"a{number}"]["staleStatus"]
        for number, pair in enumerate(wanted)
    }


def outdated(statuses: dict[str, str]) -> set[str]:
    assert set(statuses.values()) <= {FRESH, STALE}, statuses
    return {name for name, status in statuses.items() if status == STALE}


def index_of(location: CodeLocation) -> list[dict]:
    content = location.store.get_bytes(f"{location.folder.name}/spots/index/part-00001.parquet")
    rows = pq.read_table(io.BytesIO(content)).to_pylist()
    return sorted(rows, key=lambda row: row["partition"])


def newest_index(location: CodeLocation) -> dg.AssetMaterialization:
    entry = location.instance.get_latest_materialization_event(dg.AssetKey(["spots", "index"]))
    return entry.asset_materialization


def test_a_run_that_stores_videos_writes_the_index(location, first):
    """The index has one row for each video, and its event has the location, the costs and the version."""
    assert first.events_of("index") == [("None", "materialization")]
    with location.ledger() as ledger:
        wanted = [index_row("spots", video, location.store.uri) for video in ledger.videos.current("spots")]
        spent = sum(order.points_charged or 0 for order in ledger.queries.find())
    assert index_of(location) == wanted
    assert [row["partition"] for row in wanted] == KEYS
    event = newest_index(location)
    shown = {name: value.value for name, value in event.metadata.items()}
    assert shown["dagster/uri"] == f"s3://videos/{location.folder.name}/spots/index/"
    assert shown["seedance/parts_uri"] == f"{shown['dagster/uri']}*.parquet"
    assert shown["seedance/videos"] == shown["dagster/row_count"] == 3
    assert shown["seedance/videos_cost_usd"] == pytest.approx(1.2)
    books = location.books()
    assert shown["seedance/total_points"] == spent == books["points_charged"] + books["points_penalty"]
    [day] = event.metadata["seedance/spend_by_day"].records
    assert day.data["usd"] == shown["seedance/total_cost_usd"] == spent / 10_000_000
    for by in ("model", "run"):
        records = event.metadata[f"seedance/spend_by_{by}"].records
        assert sum(record.data["usd"] for record in records) == pytest.approx(day.data["usd"])
    assert shown["seedance/spend_plot"].startswith("![USD by day](data:image/svg+xml")
    assert event.tags["dagster/data_version"] == shown["seedance/version"]


def test_a_manifest_can_be_made_from_its_order(location, first):
    """The bytes are those in the bucket, so that a lost manifest can be written again."""
    for key in KEYS:
        [order] = location.orders(key)
        stored = location.store.get_bytes(order.manifest_key)
        assert stored == Manifest.of(order).to_json()
        assert json.loads(stored)["run_tags"] == {"owner": "ann"}
        assert json.loads(stored)["fps"] == 24


def test_everything_is_in_sync_after_a_run(badges):
    """Each event points to the events that it was made from, and the index to all videos."""
    assert outdated(badges()) == set()


def test_an_edit_marks_exactly_its_task_and_video(location, badges):
    """An edit makes its task and video Unsynced until they are made again; then nothing is Unsynced."""
    location.write(PROMPTS | {"cat": "a cat at night"})
    location.tick()
    assert outdated(badges()) == {"tasks/cat", "videos/cat"}
    assert location.run("cat").events_of("index") == [("None", "materialization")]
    assert outdated(badges()) == set()
    [row] = [row for row in index_of(location) if row["partition"] == "cat"]
    assert row["prompt"] == "a cat at night"
    assert [row["partition"] for row in index_of(location)] == KEYS


def test_an_edit_taken_back_is_in_sync_with_the_first_video(location, badges):
    """Asset and index both show the reused video, and nothing is Unsynced."""
    location.write(PROMPTS)
    location.tick()
    assert outdated(badges()) == {"tasks/cat", "videos/cat"}
    done = location.run("cat")
    assert done.events_of("index") == [("None", "materialization")]
    assert outdated(badges()) == set()
    assert [row["prompt"] for row in index_of(location) if row["partition"] == "cat"] == ["a cat"]


def test_a_second_attempt_at_one_take_marks_only_its_video(location, badges):
    """The old video is Unsynced until the new one is stored; the other take never is."""
    done = location.run("dog", assets=("tasks",), config={"regenerate": True})
    assert done.success
    assert outdated(badges()) == {"videos/dog"}
    done = location.advance()
    assert done.events_of("videos") == [("dog", "materialization")]
    assert done.events_of("index") == [("None", "materialization")]
    assert outdated(badges()) == set()
    assert [row["attempt"] for row in index_of(location)] == [1, 2, 1]


def test_reporting_an_order_again_marks_nothing(location, badges):
    """A reuse of `tasks` alone reports the same version, so that the video stays in sync."""
    assert location.run("cat", assets=("tasks",)).events_of("index") == []
    assert outdated(badges()) == set()


def test_a_run_of_the_whole_group_reports_the_index(location, badges):
    """Dagster skips the index's step after one without outputs, so the set's step reports the index."""
    done = location.run("cat", assets=GROUP)
    assert done.success
    assert done.events_of("index") == [("None", "materialization")]
    assert "spots__index" in [event.step_key for event in done.result.all_events if event.is_step_skipped]
    assert outdated(badges()) == set()


def test_the_index_can_be_materialized_on_its_own(location, badges):
    """Materializing the index alone writes a lost part again with the same bytes, and is in sync."""
    before = newest_index(location)
    location.store.client.delete_object(
        Bucket="videos", Key=f"{location.folder.name}/spots/index/part-00001.parquet"
    )
    job = location.defs.resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(
        instance=location.instance, asset_selection=[dg.AssetKey(["spots", "index"])]
    )
    assert done.success
    after = newest_index(location)
    assert after.tags["dagster/data_version"] == before.tags["dagster/data_version"]
    assert {**after.metadata} == {**before.metadata}
    assert len(index_of(location)) == 3
    assert outdated(badges()) == set()

"""Runs of a prompt set's partitioned assets, with a real emulator and a real S3 server."""

from __future__ import annotations

import base64
import json

import dagster as dg
import pytest
from code_location import QUIET, running_location
from harness import API_KEY

from seedance_dagster.ledger.order import State
from seedance_dagster.money import points_to_usd

pytestmark = [pytest.mark.integration, QUIET]

KEYS = ["cat", "dog", "dog.t2", "bad", "frog"]
PROMPTS = {
    "cat": "a cat",
    "dog": {"prompt": "a dog", "takes": 2, "tags": {"campaign": "spring"}},
    "bad": "bad [fault:moderation*1]",
    "frog": {
        "prompt": "a frog like @image1",
        "mode": "omni_reference",
        "image_urls": ["https://cdn.example.com/frog.png?X-Amz-Signature=s3cret"],
    },
}
TEXT, WHOLE, NUMBER = dg.TextMetadataValue, dg.IntMetadataValue, dg.FloatMetadataValue
PATH, MARKDOWN = dg.PathMetadataValue, dg.MarkdownMetadataValue
METADATA = {
    "prompts": {
        "request": dg.JsonMetadataValue,
        "seedance/prompt": TEXT,
        "seedance/estimated_cost_usd": NUMBER,
        "seedance/fingerprint": TEXT,
    },
    "tasks": {
        "seedance/state": TEXT,
        "seedance/task_id": TEXT,
        "seedance/points_held": WHOLE,
        "seedance/estimated_cost_usd": NUMBER,
        "seedance/fingerprint": TEXT,
        "seedance/attempt": WHOLE,
    },
    "videos": {
        "dagster/uri": PATH,
        "seedance/task_id": TEXT,
        "seedance/task_type": TEXT,
        "seedance/mode": TEXT,
        "seedance/prompt": TEXT,
        "seedance/fingerprint": TEXT,
        "seedance/attempt": WHOLE,
        "seedance/cost_usd": NUMBER,
        "seedance/points_consumed": WHOLE,
        "seedance/estimated_cost_usd": NUMBER,
        "seedance/duration_s": NUMBER,
        "seedance/codec": TEXT,
        "seedance/bit_depth": WHOLE,
        "seedance/audio": TEXT,
        "seedance/width": WHOLE,
        "seedance/height": WHOLE,
        "seedance/queue_s": NUMBER,
        "seedance/render_s": NUMBER,
        "seedance/size_bytes": WHOLE,
        "seedance/sha256": TEXT,
        "seedance/manifest_uri": PATH,
        "poster": MARKDOWN,
    },
}


@pytest.fixture(scope="module")
def location(s3_server, tmp_path_factory):
    """A code location of five partitions, one of which moderation rejects the first time."""
    with running_location(tmp_path_factory.mktemp("runs"), s3_server, PROMPTS, on_disk=True) as location:
        yield location


@pytest.fixture(scope="module")
def first(location):
    """The first run of all partitions."""
    return location.run("cat", "frog")


def plain(materialization: dg.AssetMaterialization) -> dict[str, object]:
    return {name: value.value for name, value in materialization.metadata.items()}


def test_a_run_fails_at_its_end_and_names_the_prompts_without_a_video(location, first):
    """The rejected prompt is named with its reason, and every other one has its video."""
    assert not first.success
    assert first.message.startswith(
        "1 of 5 prompts has no video; the others are not affected:\nbad: rejected by"
    )
    assert list(first.missing) == ["bad"]
    assert "content policy" in first.missing["bad"]
    assert sorted(first.events_of("videos")) == [
        ("bad", "observation"),
        *((key, "materialization") for key in ("cat", "dog", "dog.t2", "frog")),
    ]
    assert first.events_of("prompts") == [(key, "materialization") for key in KEYS]
    assert location.history("videos", "bad") == []


@pytest.mark.parametrize("asset", METADATA)
@pytest.mark.parametrize("key", ["cat", "dog", "dog.t2", "frog"])
def test_every_partition_has_its_own_public_metadata(location, first, asset, key):
    """Each partition of each asset has exactly the documented metadata, by name and type."""
    metadata = location.newest(asset, key).metadata
    references = {"seedance/references": dg.JsonMetadataValue} if (key, asset) == ("frog", "videos") else {}
    assert {name: type(value) for name, value in metadata.items()} == METADATA[asset] | references


@pytest.mark.parametrize("key", ["cat", "dog", "dog.t2", "frog"])
def test_ledger_manifest_and_materialization_agree(location, first, key):
    """The metadata of a video agrees with the ledger and the manifest in every field."""
    [order], shown = location.orders(key), plain(location.newest("videos", key))
    manifest = json.loads(location.store.get_bytes(order.manifest_key))
    assert (order.state, location.reported(order)) == (State.STORED, "stored")
    assert shown.pop("poster").startswith("![poster](data:image/jpeg;base64,")
    usd = float(points_to_usd(order.points_charged))
    references = shown.pop("seedance/references", [])
    assert [file["url"] for file in references] == [
        url.split("?")[0] for url in order.request["image_urls"] or ()
    ]
    assert shown == {
        "dagster/uri": f"s3://videos/{order.video_key}",
        "seedance/task_id": order.task_id,
        "seedance/task_type": "seedance-2",
        "seedance/mode": order.request["mode"],
        "seedance/prompt": order.request["prompt"],
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": 1,
        "seedance/cost_usd": usd,
        "seedance/points_consumed": order.points_charged,
        "seedance/estimated_cost_usd": float(points_to_usd(order.estimated_points)),
        "seedance/duration_s": order.duration_s,
        "seedance/codec": order.codec,
        "seedance/bit_depth": order.bit_depth,
        "seedance/audio": "none",
        "seedance/width": order.width,
        "seedance/height": order.height,
        "seedance/queue_s": (order.vendor_started_at - order.vendor_created_at).total_seconds(),
        "seedance/render_s": (order.vendor_ended_at - order.vendor_started_at).total_seconds(),
        "seedance/size_bytes": order.size_bytes,
        "seedance/sha256": order.sha256,
        "seedance/manifest_uri": f"s3://videos/{order.manifest_key}",
    }
    for name in (
        *("task_id", "fingerprint", "attempt", "points_charged", "points_held", "estimated_points", "sha256"),
        *("size_bytes", "duration_s", "width", "height", "codec", "video_key", "poster_key", "partition"),
        *("prompt_set", "tags", "run_id", "idempotency_key", "price_table", "price_formula"),
    ):
        assert manifest[name] == getattr(order, name), name
    assert location.store.head(order.video_key).size_bytes == order.size_bytes
    assert usd == 0.4
    task = plain(location.newest("tasks", key))
    assert task == {
        "seedance/state": "submitted",
        "seedance/task_id": order.task_id,
        "seedance/points_held": order.points_charged,  # held when it was submitted, charged since
        "seedance/estimated_cost_usd": usd,
        "seedance/fingerprint": order.fingerprint,
        "seedance/attempt": 1,
    }


def test_the_poster_is_a_small_picture(location, first):
    """The poster in the event is a JPEG of a few kilobytes."""
    poster = location.newest("videos", "cat").metadata["poster"].value
    jpeg = base64.b64decode(poster.removeprefix("![poster](data:image/jpeg;base64,").removesuffix(")"))
    assert jpeg.startswith(b"\xff\xd8")
    assert len(jpeg) <= 24_000


def test_signatures_of_references_stay_out_of_events(location, first):
    """The query of a signed reference URL is sent to the vendor and is not in the reported request."""
    request = location.newest("prompts", "frog").metadata["request"].value
    assert request["image_urls"] == ["https://cdn.example.com/frog.png"]
    assert request["mode"] == "omni_reference"
    events = [repr(event) for event in first.result.all_events]
    assert not any("s3cret" in event for event in events)


def test_tags_have_versions_and_lineage(location, first):
    """Each event has its data version and points to the events that it was made from."""
    [order] = location.orders("dog.t2")
    ((prompt_id, prompt), *_) = location.history("prompts", "dog.t2")
    ((task_id, task), *_) = location.history("tasks", "dog.t2")
    video = location.newest("videos", "dog.t2")
    code = {"dagster/code_version": "1"}
    from_prompt = {
        "dagster/input_data_version/spots/prompts": order.fingerprint,
        "dagster/input_event_pointer/spots/prompts": str(prompt_id),
    }
    version = f"{order.fingerprint}-a1"
    assert prompt.tags == {"dagster/data_version": order.fingerprint, **code}
    assert task.tags == {"dagster/data_version": version, **code, **from_prompt}
    assert video.tags == {
        "dagster/data_version": order.sha256,
        **code,
        **from_prompt,
        "dagster/input_data_version/spots/tasks": version,
        "dagster/input_event_pointer/spots/tasks": str(task_id),
    }


@pytest.fixture(scope="module")
def second(location, first):
    """The same run again."""
    return location.books(), location.run("cat", "frog"), location.books()


def test_running_again_is_free_and_sends_no_rejected_prompt(location, second):
    """Stored videos are reported again at no cost, and a warning names the rejected prompt."""
    before, again, after = second
    assert (before["tasks"], before["points_charged"]) == (after["tasks"], after["points_charged"])
    assert after["posts"] == 5
    assert again.success
    assert "1 prompt was rejected by moderation before, and not sent again unchanged: bad. Edit" in again.log
    assert again.events_of("videos") == [(key, "materialization") for key in KEYS if key != "bad"]
    for key in ("cat", "frog"):
        (_, newer), (_, older) = location.history("videos", key)
        assert plain(newer) == plain(older)
        assert newer.tags["dagster/data_version"] == older.tags["dagster/data_version"]


def test_a_run_of_tasks_alone_names_what_it_did_not_order(location, second):
    """A prompt that was rejected before is not ordered, and `tasks` is not materialized for it."""
    done = location.run("bad", assets=("tasks",))
    assert done.success
    assert "not sent again unchanged: bad" in done.log
    assert done.events_of("tasks") == []


def test_a_plan_shows_the_costs_and_orders_nothing(location, second):
    """A plan counts every video as new with regenerate, succeeds and sends nothing."""
    before = location.books()
    done = location.plan(set="spots", partitions=["cat", "dog*"], regenerate=True)
    rows = [record.data for record in done.metadata["seedance/plan"].records]
    assert {row["partition"] for row in rows if row["outcome"] == "new"} == {"cat", "dog", "dog.t2"}
    assert done.metadata["seedance/estimated_cost_usd"].value == 1.2
    assert location.plan().metadata["seedance/new_orders"].value == 0
    assert location.books() == before


def test_a_maximum_cost_orders_everything_or_nothing(location, second):
    """Above max_cost_usd nothing is ordered, and the message says how many orders would fit."""
    posts = location.books()["posts"]
    done = location.run("cat", "dog.t2", config={"max_cost_usd": 0.9, "regenerate": True})
    assert "3 new videos may cost up to 1.20 USD" in done.message
    assert "0.90 USD" in done.message
    assert "the first 2 would fit" in done.message
    assert location.books()["posts"] == posts
    # What is reused costs nothing, so it fits below any maximum.
    assert location.run("cat", config={"max_cost_usd": 0.001}).success


def test_config_that_is_out_of_range_fails_the_run(location, second):
    """The run fails before anything is reported, with what is allowed."""
    done = location.run("cat", config={"max_cost_usd": float("nan")})
    assert done.message == "max_cost_usd: nan is out of range; allowed are amounts in USD above 0"
    assert done.events_of("prompts") == []
    assert location.run("cat", config={"max_attempts": 0}).message.startswith("max_attempts: 0 is out")


@pytest.mark.further
def test_regenerating_and_resubmitting_are_paid_for(location, second):
    """Each makes another attempt, whose number is in the tags."""
    [old] = location.orders("cat")
    tasks = location.books()["tasks"]
    done = location.run("cat", config={"regenerate": True}, tags={"dagster/backfill": "backfill-1"})
    assert done.success
    assert location.books()["tasks"] == tasks + 1
    new = location.orders("cat")[-1]
    assert (new.attempt, new.idempotency_key) == (2, "backfill-1")
    assert new.video_key != old.video_key
    assert location.store.head(old.video_key) is not None
    video = location.newest("videos", "cat")
    assert video.metadata["seedance/attempt"].value == 2
    task_id, task = location.history("tasks", "cat")[0]
    assert task.tags["dagster/data_version"] == f"{new.fingerprint}-a2"
    assert video.tags["dagster/input_event_pointer/spots/tasks"] == str(task_id)
    again = location.run("cat", config={"regenerate": True}, tags={"dagster/backfill": "backfill-1"})
    assert again.success
    assert location.books()["tasks"] == tasks + 1  # the same cause never pays twice

    done = location.run("bad", config={"resubmit_rejected": True})
    assert done.success, done.message
    assert [order.state for order in location.orders("bad")] == [State.REJECTED, State.STORED]
    assert location.newest("videos", "bad").metadata["seedance/attempt"].value == 2


def test_dagster_keeps_no_secret(location, s3_server, second):
    """Run configs, snapshots and events never have a key or signature."""
    kept = location.stored_by_dagster()
    assert "spots_generation" in kept
    for secret in (API_KEY, s3_server.secret_key, "X-Amz-Signature"):
        assert secret not in kept

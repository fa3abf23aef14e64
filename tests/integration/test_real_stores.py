"""Servers that speak S3's language: checked, and videos stored, read and downloaded on each."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner
from harness import running_engine
from real_stores import STORES, moto

from seedance_dagster.cli.root import root
from seedance_dagster.engine.events import Stored
from seedance_dagster.ledger.order import State
from seedance_dagster.storage.capabilities import Verdict, examine
from seedance_dagster.storage.errors import StoreError

pytestmark = [pytest.mark.integration, pytest.mark.further]

LACKS = {"rclone": {"conditions": "ignored"}, "moto": {}}
"""The capabilities that each of them lacks, as `check-storage` says it."""


@pytest.fixture(scope="module", params=STORES)
def server(request, tmp_path_factory):
    """A server of each kind, for all tests of this file."""
    with STORES[request.param](tmp_path_factory.mktemp("stores") / request.param) as running:
        yield request.param, running


def test_a_store_is_known_for_what_it_can_do(server, tmp_path):
    """The check finds each store's capabilities and leaves nothing behind."""
    name, running = server
    store = running.open(tmp_path.name)
    trials = examine(store)
    assert not any(trial.blocks for trial in trials)
    lacks = {trial.capability.name: trial.words for trial in trials if trial.verdict is not Verdict.OK}
    assert lacks.keys() == LACKS[name].keys()
    assert all(words in lacks[capability] for capability, words in LACKS[name].items())
    assert store.listing("") == {}


def test_videos_are_stored_and_come_back(server, tmp_path, monkeypatch):
    """Ordered, stored, checked and downloaded: the bytes are those that were rendered."""
    _, running = server
    store = running.open(tmp_path.name)
    with running_engine(tmp_path, store) as engine:
        events = engine.run(engine.place("a cat", "a dog"))
        stored = [event.order for event in events if isinstance(event, Stored)]
        assert engine.states() == {"p0": State.STORED, "p1": State.STORED}
    for order in stored:
        assert hashlib.sha256(store.get_bytes(order.video_key)).hexdigest() == order.sha256
        manifest = json.loads(store.get_bytes(order.manifest_key))
        assert manifest["sha256"] == order.sha256
    url = f"sqlite:///{tmp_path}/ledger.db"
    environ = running.environ | {"SEEDANCE_LEDGER_URL": url, "SEEDANCE_S3_PREFIX": tmp_path.name}
    monkeypatch.setattr("os.environ", environ)
    monkeypatch.chdir(tmp_path)
    checked = CliRunner().invoke(root, ["check-storage", "--json"])
    assert checked.exit_code == 0, checked.output
    done = CliRunner().invoke(root, ["download", "spots", "out"])
    assert done.exit_code == 0, done.output
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "out").iterdir()}
    assert hashes == {order.sha256 for order in stored}


def test_nothing_that_is_stored_is_overwritten(server, tmp_path):
    """Another task's video is not overwritten, even on a store that ignores conditions."""
    _, running = server
    store = running.open(tmp_path.name)
    path = tmp_path / "v.mp4"
    for task, body in (("T-1", b"the first"), ("T-2", b"another")):
        path.write_bytes(body)
        about = {"seedance-task-id": task}
        sha256 = hashlib.sha256(body).hexdigest()
        arguments = {"content_type": "video/mp4", "sha256": sha256, "metadata": about}
        if task == "T-1":
            store.put_file(f"{tmp_path.name}/video.mp4", path, **arguments)
        else:
            with pytest.raises(StoreError):
                store.put_file(f"{tmp_path.name}/video.mp4", path, **arguments)
    assert store.get_bytes(f"{tmp_path.name}/video.mp4") == b"the first"


@pytest.fixture(scope="module")
def amazon(tmp_path_factory):
    """A server that plays Amazon's, with everything that a bucket may demand."""
    with moto(tmp_path_factory.mktemp("amazon")) as running:
        yield running


def test_what_a_bucket_demands_is_sent(amazon, tmp_path):
    """Objects have the class, tags and encryption of the settings."""
    store = amazon.open(
        "demands",
        storage_class="STANDARD_IA",
        tags="team=ads&project=spring",
        encryption="aws:kms",
    )
    store.put_bytes("demands/poster.jpg", b"jpeg", content_type="image/jpeg", metadata={})
    about = amazon.client().head_object(Bucket=store.bucket, Key="demands/poster.jpg")
    assert (about["StorageClass"], about["ServerSideEncryption"]) == ("STANDARD_IA", "aws:kms")
    tags = amazon.client().get_object_tagging(Bucket=store.bucket, Key="demands/poster.jpg")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "ads", "project": "spring"}


def test_a_bucket_with_object_lock_takes_videos(amazon, tmp_path):
    """Retention keeps each version; the check leaves a marker where it deleted its object."""
    client = amazon.client()
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    store = amazon.open("p", bucket="locked")
    assert not any(trial.blocks for trial in examine(store))
    store.put_bytes("p/manifest.json", b"{}", content_type="application/json", metadata={})
    assert client.head_object(Bucket="locked", Key="p/manifest.json")["ObjectLockMode"] == "GOVERNANCE"


def test_a_bucket_that_is_not_there_is_named(amazon):
    """The error names the missing bucket, followed by the server's own words."""
    with pytest.raises(StoreError, match="'elsewhere' does not exist"):
        amazon.open("p", bucket="elsewhere").check_writable()

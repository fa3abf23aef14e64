"""The check of the store: before orders, by hand, and its policy."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from harness import no_client
from stores import MemoryStore

from seedance_dagster.cli.root import root
from seedance_dagster.engine.ordering import storage_check
from seedance_dagster.engine.ordering.storage_check import check_storage
from seedance_dagster.engine.services import Services
from seedance_dagster.settings import Settings
from seedance_dagster.storage import capabilities
from seedance_dagster.storage.capabilities import CAPABILITIES, Trial, Verdict, policy_json
from seedance_dagster.storage.errors import StoreError

PAGE = Path(__file__).parents[2] / "docs" / "storage.md"


@pytest.fixture
def services(ledger, clock):
    return Services(ledger=ledger, open_client=no_client, store=MemoryStore(), clock=clock)


@pytest.fixture
def examined(monkeypatch):
    """Counts the full checks of a store."""
    calls, examine = [], storage_check.examine
    monkeypatch.setattr(storage_check, "examine", lambda store: calls.append(store) or examine(store))
    return calls


def test_a_store_is_tried_once_a_day_and_configuration(services, examined, clock, monkeypatch):
    """A store is fully checked once a day and configuration; in between only a write is tried."""
    check_storage(services)
    check_storage(services)
    assert len(examined) == 1
    clock.forward(days=1, seconds=1)
    check_storage(services)
    assert len(examined) == 2
    monkeypatch.setattr(MemoryStore, "configuration", "another prefix")
    check_storage(services)
    assert len(examined) == 3
    assert services.store.objects == {}


def test_processes_that_start_at_once_try_the_store_one_after_the_other(services, examined):
    """Processes that start at once check the store one after the other, since they use the same objects."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(check_storage, [services] * 4))
    assert len(examined) == 1


def test_a_store_that_keeps_videos_out_is_named_and_tried_again(services, examined, monkeypatch):
    """The message says what is missing, and how to see more; nothing is remembered."""
    monkeypatch.setattr(MemoryStore, "digest", lambda *_: "others")
    for _ in range(2):
        with pytest.raises(StoreError, match=r"could not be stored \(read: the object.*check-storage"):
            check_storage(services)
    assert len(examined) == 2


def test_a_full_temporary_folder_is_said_before_anything_is_ordered(services, monkeypatch):
    """A full temporary folder is reported before anything is ordered."""

    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(capabilities.tempfile, "TemporaryDirectory", full)
    with pytest.raises(StoreError, match=r"the temporary folder .* cannot hold a video: No space left"):
        check_storage(services)


def test_a_machine_without_a_temporary_folder_is_said_before_anything_is_ordered(services, monkeypatch):
    """A container whose file system is read-only has none."""
    monkeypatch.setattr(capabilities.tempfile, "tempdir", None)
    monkeypatch.setattr(capabilities.tempfile, "_candidate_tempdir_list", lambda: ["/proc"])
    with pytest.raises(
        StoreError, match=r"\(TMPDIR\) cannot hold a video: No usable temporary directory found"
    ):
        check_storage(services)


def test_the_policy_in_the_docs_is_made_from_what_is_tried():
    """The policy in the docs has exactly the permissions that the check tries."""
    assert f"```json\n{policy_json('videos', 'seedance', 'aws')}\n```" in PAGE.read_text("utf-8")
    assert all(f"| {capability.name} |" in PAGE.read_text("utf-8") for capability in CAPABILITIES)


def test_the_policy_of_an_access_point_names_the_access_point():
    """Its objects are below `object/`, and its ARN is not part of another one."""
    point = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/videos"
    resources = [
        statement["Resource"] for statement in json.loads(policy_json(point, "p", "aws-cn"))["Statement"]
    ]
    assert resources == [f"{point}/object/p/*", point]


@pytest.fixture
def run(monkeypatch):
    """Runs the command on a store in memory."""
    monkeypatch.setattr(Settings, "open_store", lambda _: MemoryStore())
    return lambda *options: CliRunner().invoke(root, ["check-storage", *options])


def test_the_command_shows_each_capability(run):
    """For a good store the command shows each capability as present."""
    result = run()
    assert result.exit_code == 0, result.output
    assert all(capability.name in result.output for capability in CAPABILITIES)
    trials = json.loads(run("--json").output)["trials"]
    assert {trial["result"] for trial in trials} == {"ok"}


def test_the_command_fails_where_nothing_could_be_stored(run, monkeypatch):
    """The command's status is 1 where nothing could be stored."""
    blocked = [Trial(CAPABILITIES[0], Verdict.MISSING, "they need s3:PutObject")]
    monkeypatch.setattr("seedance_dagster.cli.commands.check_storage.examine", lambda _: blocked)
    result = run()
    assert result.exit_code == 1
    assert "they need s3:PutObject" in result.output
    assert run("--json").exit_code == 1


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_command_prints_the_policy(monkeypatch, region, partition):
    """The printed policy names the configured bucket and prefix, as AWS names them in the bucket's region."""
    monkeypatch.setenv("SEEDANCE_S3_BUCKET", "videos")
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    result = CliRunner().invoke(root, ["check-storage", "--policy"])
    allowed = json.loads(result.output)["Statement"]
    assert allowed[0]["Resource"] == f"arn:{partition}:s3:::videos/seedance/*"

"""The `trace` command: its output and exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import open_ledger, read_prompts
from order_factory import OrderFactory
from trace_support import SECRET, traced_orders

from seedance_dagster.cli.local.ports import LOOPBACK, free_port
from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import State
from seedance_dagster.media.credentials import Credential, CredentialState

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is DAGSTER_HOME, without any settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", SETTINGS | {"DAGSTER_HOME": str(tmp_path)})
    return tmp_path


@pytest.fixture
def orders(folder: Path, clock) -> Iterator[OrderFactory]:
    """Orders in the default ledger."""
    with open_ledger(folder / "seedance", clock) as ledger:
        yield traced_orders(ledger, clock)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["trace", *arguments])


def lines(done: Result) -> list[str]:
    """Return the lines without the tree's branches."""
    assert done.exit_code == 0, done.output
    return [line.lstrip("│├└─ \u00a0") for line in done.stdout.splitlines()]


def test_the_tree_shows_the_whole_chain(orders: OrderFactory) -> None:
    """The tree goes from the prompt to the reports to Dagster, for the order in question and all others."""
    orders.make(State.REJECTED)
    orders.make(State.STORED, fingerprint="b" * 64, artifacts={"delivered_sha256": "e" * 64})
    orders.make(State.SUBMITTED, fingerprint="b" * 64)
    read_prompts(orders.ledger, "spots", {"cat": "b" * 64})
    shown = lines(run("t-2"))
    task = (
        "-> Task t-2: created 2026-04-06 18:01:04, ended 2026-04-06 18:02:04, "
        "held 4,000,000 points (0.40 USD), charged 4,000,000 points (0.40 USD)"
    )
    wanted = [
        "task id t-2 (all times are UTC)",
        "Note: S3 was not checked: SEEDANCE_S3_BUCKET is not set",
        "Prompt spots/cat: 3 orders, 1 in flight, 0.405 USD charged",
        "Request aaaaaaaaaaaa",
        "The cat in @image1 walks",
        "task_type seedance-2-fast, mode omni_reference, duration 5",
        "@image1 https://cdn.example.com/cat.png: media_type image/png, size_bytes 1234, sha256 " + "ab" * 32,
        "Order 1, attempt 1: rejected",
        "Problem (moderation): no such picture as https://cdn.example.com/cat.png",
        "Request bbbbbbbbbbbb, the prompt set's current one",
        "Order 2, attempt 1: stored, shown by the partition",
        "Ordered by run run-1 of job seedance_advance, idempotency key key-2",
        "Tags of the run: owner ann",
        "Ordered 2026-04-06 18:01:02, submitted 2026-04-06 18:01:04, finished 2026-04-06 18:02:04",
        "Estimated 0.40 USD by goapi-2026-04: 0.08 USD/s x (5 s output)",
        task,
        "fetching https://cdn.example.com/cat.png",
        "Video seedance/spots/cat/bbbbbbbbbbbb-a1/video.mp4, 1,000 bytes, 4 s, 864x480, not looked up in S3",
        f"sha256 {2:064x}",
        "sha256 as delivered " + "e" * 64,
        "Manifest seedance/spots/cat/bbbbbbbbbbbb-a1/manifest.json, not looked up in S3",
        "Task and video were reported to Dagster",
        "2026-04-06 18:01:04 submitted by w: task_id t-2, how reply",
        "Order 3, attempt 2: submitted, in flight",
        "Nothing was reported to Dagster",
    ]
    assert [line for line in wanted if line not in shown] == []
    assert [line for line in shown if line.startswith("->")] == [task]
    assert [shown.index(line) for line in wanted[:5]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("thing", "marked"),
    [
        ("spots/cat", "-> Prompt spots/cat"),
        ("e" * 64, "-> sha256 as delivered"),
        (f"{1:064x}", "-> Video "),
        (f"s3://b/seedance/spots/cat/{'a' * 12}-a1/poster.jpg", "-> Poster "),
        (f"s3://b/seedance/spots/cat/{'a' * 12}-a1/preview.mp4", "-> Preview "),
        (f"s3://b/seedance/spots/cat/{'a' * 12}-a1", "-> Order 1"),
        (f"s3://b/seedance/spots/cat/{'a' * 12}-a2/video.mp4", "-> Order 2"),
    ],
)
def test_the_thing_in_question_is_marked(orders: OrderFactory, thing: str, marked: str) -> None:
    """One line is marked; the order's own where it has no files yet."""
    preview = f"seedance/spots/cat/{'a' * 12}-a1/preview.mp4"
    orders.make(State.STORED, artifacts={"delivered_sha256": "e" * 64, "preview_key": preview})
    orders.make(State.SUBMITTED)
    marked_lines = [line for line in lines(run(thing)) if line.startswith("->")]
    assert len(marked_lines) == 1
    assert marked_lines[0].startswith(marked)


def test_the_json_has_the_same_content(orders: OrderFactory) -> None:
    """Names are the ledger's, times have their zone, money is whole points."""
    orders.make(State.STORED)
    done = run("spots/cat", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["thing"], report["form"]) == ("spots/cat", "partition")
    [order] = report["partitions"][0]["orders"]
    assert (order["state"], order["ordered_at"]) == ("stored", "2026-04-06T18:00:00+00:00")
    assert order["points_charged"] == 4_000_000
    assert [file["kind"] for file in order["files"]] == ["video", "poster", "manifest"]
    assert len(order["journal"]) == 5
    assert SECRET not in done.stdout


def test_an_unreachable_s3_gives_a_note(orders: OrderFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the trace is shown."""
    orders.make(State.STORED)
    monkeypatch.setenv("SEEDANCE_S3_BUCKET", "videos")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{LOOPBACK}:{free_port()}")
    shown = lines(run("t-1"))
    assert shown[1].startswith("Note: S3 could not be checked: S3 did not answer")
    assert any(line.startswith("Video s3://videos/seedance/spots/cat/") for line in shown)


def test_s3_is_not_checked_for_an_order_without_files(orders: OrderFactory) -> None:
    """A prompt without files needs no bucket, and no note about it."""
    orders.make(State.QUEUED)
    assert not [line for line in lines(run("spots/cat")) if "Note" in line]


def test_an_edited_prompt_that_is_not_ordered_yet_is_shown(orders: OrderFactory) -> None:
    """The current request of the prompt set may not be ordered yet."""
    orders.make(State.STORED)
    read_prompts(orders.ledger, "spots", {"cat": "b" * 64})
    assert "Request bbbbbbbbbbbb, the prompt set's current one: not ordered yet" in lines(run("t-1"))


def test_a_long_line_is_not_cut_in_a_pipe(orders: OrderFactory) -> None:
    """A prompt of any length is one line."""
    prompt = "a cat and " * 100 + "a dog"
    orders.make(State.QUEUED, request={"task_type": "seedance-2", "prompt": prompt})
    assert prompt in lines(run("spots/cat"))


def test_texts_cannot_steer_the_terminal(orders: OrderFactory) -> None:
    """Markup is shown as it is, and control characters are replaced."""
    request = {"task_type": "seedance-2", "prompt": "a [red]cat[/red] \x1b[31m\x07猫"}
    orders.make(State.QUEUED, request=request)
    done = run("spots/cat")
    assert "a [red]cat[/red]  [31m 猫" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_long_journal_is_shortened(orders: OrderFactory) -> None:
    """A transfer that failed all night does not hide the rest; JSON has every step."""
    order = orders.make(State.SUCCEEDED)
    for _ in range(30):
        orders.clock.forward(minutes=5)
        order = orders.ledger.tasks.transfer_failed(
            order, actor="w", due_at=orders.clock(), reason="no answer"
        )
    assert "... 24 more, see --json" in lines(run("t-1"))
    [order_json] = json.loads(run("t-1", "--json").stdout)["partitions"][0]["orders"]
    assert len(order_json["journal"]) == 34


def test_a_file_without_an_origin_exits_with_1(orders: OrderFactory, folder: Path) -> None:
    """The message names what was looked for."""
    (folder / "mine.mp4").write_bytes(b"holiday")
    done = run("mine.mp4")
    assert done.exit_code == 1
    assert "has no video with the bytes of mine.mp4, as stored or as delivered (sha256 " in done.stderr


def test_a_content_credential_is_shown(
    orders: OrderFactory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its validity is shown too; the ledger's record of it is with the video."""
    credential = Credential(
        label="urn:c2pa:1",
        state=CredentialState.INVALID,
        reasons=("assertion.dataHash.mismatch: changed",),
        generator="seedance-dagster 0.1.0",
        signed_by="Example, test signer",
        serial="1",
        source_type=None,
        model="seedance-2",
        task_id="t-1",
        delivered_sha256="d" * 64,
        prompt=None,
        ingredients=(),
    )
    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", lambda _: credential)
    orders.make(
        State.STORED,
        artifacts={"credential": {"label": "urn:c2pa:1", "certificate": {"subject": "CN=test signer"}}},
    )
    (folder / "mine.mp4").write_bytes(b"cut")
    shown = lines(run("mine.mp4"))
    for line in (
        "Content credential: invalid, signed by Example, test signer",
        "It says: task t-1, model seedance-2, sha256 as delivered " + "d" * 64,
        "assertion.dataHash.mismatch: changed",
        "-> Order 1, attempt 1: stored, shown by the partition",
        "Content credential: label urn:c2pa:1, certificate subject CN=test signer",
    ):
        assert line in shown
    assert json.loads(run("mine.mp4", "--json").stdout)["credential"]["state"] == "invalid"


@pytest.mark.parametrize(
    ("thing", "status", "words"),
    [
        ("nosuch", 1, "no order in sqlite:///"),
        ("spots/elk", 1, "has no partition spots/elk"),
        ("two words", 2, "<set>/<partition>"),
        ("s3://videos", 2, "is not the URI of a video"),
        ("/proc/self/mem", 2, "/proc/self/mem cannot be read"),
    ],
)
def test_bad_input_gives_a_message(folder: Path, thing: str, status: int, words: str) -> None:
    """The exit status is 1 for what the ledger does not know, 2 for what cannot be traced at all."""
    done = run(thing)
    assert done.exit_code == status
    assert isinstance(done.exception, SystemExit)
    assert words in done.stderr

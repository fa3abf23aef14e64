"""Tracing: what a thing is found by, the chain around it, and what it never shows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from media_support import make_clip
from pydantic import SecretStr
from trace_support import POINTS, SECRET, Desk

from seedance_dagster.credential import CredentialError, CredentialSettings, Facts, Signer
from seedance_dagster.credential.chain import make_test_chain
from seedance_dagster.ledger import State
from seedance_dagster.store.keys import object_keys, order_folder
from seedance_dagster.trace import origin
from seedance_dagster.trace.chain import read_rows, trace_of
from seedance_dagster.trace.models import OrderTrace, PartitionTrace, Trace
from seedance_dagster.trace.origin import Form, UnknownFormError, UntracedError, find_origin

SQLITE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
FOLDER = f"s3://videos/seedance/spots/cat/{'a' * 12}-a1"


@pytest.fixture
def desk(ledger, clock) -> Desk:
    return Desk(ledger, clock)


def trace(ledger, given, *, bucket="videos", sizes=None) -> Trace:
    found = find_origin(ledger, str(given), bucket=bucket)
    rows = read_rows(ledger, found)
    return trace_of(found, rows, uri=lambda key: f"s3://{bucket}/{key}", sizes=sizes or {})


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def one(found: Trace) -> PartitionTrace:
    [partition] = found.partitions
    return partition


def orders(found: Trace) -> list[OrderTrace]:
    return [order for request in one(found).requests for order in request.orders]


def marks(found: Trace) -> dict[int, str]:
    return {order.order_id: order.mark for order in orders(found) if order.mark is not None}


def test_each_form_finds_the_chain_and_what_of_it_was_meant(desk, ledger):
    """The whole partition is shown, and of its orders exactly the one that was meant is marked."""
    desk.stored(sha256="1f" * 32, delivered="2e" * 32)
    desk.stored()
    desk.stored("dog")
    for given, form, mark in [
        ("t-1", Form.TASK, "task"),
        ("1f" * 32, Form.HASH, "video"),
        ("1F" * 32, Form.HASH, "video"),
        ("2e" * 32, Form.HASH, "video as delivered"),
        (f"{FOLDER}/video.mp4", Form.URI, "video"),
        (f"{FOLDER}/poster.jpg", Form.URI, "poster"),
        (f"{FOLDER}/manifest.json", Form.URI, "manifest"),
        (f"{FOLDER}/", Form.URI, "folder"),
        (FOLDER, Form.URI, "folder"),
        ("spots/cat", Form.PARTITION, None),
    ]:
        found = trace(ledger, given)
        assert (found.form, found.given, found.notes) == (form, given, [])
        assert [order.attempt for order in orders(found)] == [1, 2]
        assert marks(found) == ({} if mark is None else {1: mark})


@SQLITE
def test_a_file_is_found_by_its_bytes_under_any_name(desk, ledger, tmp_path, monkeypatch):
    """Stored or delivered bytes are enough; no credential is looked for where none was put in."""
    monkeypatch.setattr("seedance_dagster.credential.read_credential", None)
    path = tmp_path / "holiday (2)"
    path.write_bytes(b"bytes")
    desk.stored(delivered=digest_of(path))
    assert marks(trace(ledger, path)) == {1: "video as delivered"}
    desk.stored(sha256=digest_of(path))
    assert marks(trace(ledger, path)) == {1: "video as delivered", 2: "video"}


@SQLITE
def test_a_credential_is_read_back_and_finds_what_its_bytes_do_not(desk, ledger, tmp_path):
    """A signed file says what it was signed with; a changed byte makes it invalid, and it is still found."""
    clip, signed = tmp_path / "clip.mp4", tmp_path / "signed.mp4"
    clip.write_bytes(make_clip())
    now = datetime.now(UTC)
    chain = make_test_chain(tmp_path / "chain", now=now)
    signer = Signer(CredentialSettings(certificate=str(chain.certificate), key=SecretStr(str(chain.key))))
    facts = Facts(task_id="t-1", model="seedance-2-fast", delivered_sha256=digest_of(clip), prompt="p")
    put_in = signer.sign(clip, signed, facts, now=now)
    desk.stored(sha256=digest_of(signed), delivered=digest_of(clip), credential=put_in)
    found = trace(ledger, signed)
    assert marks(found) == {1: "video"}
    assert (found.credential.state, found.credential.task_id) == ("valid", "t-1")
    assert found.credential.delivered_sha256 == digest_of(clip)
    assert orders(found)[0].credential == put_in
    body = bytearray(signed.read_bytes())
    body[-1] ^= 1
    signed.write_bytes(body)
    found = trace(ledger, signed)
    assert marks(found) == {1: "content credential"}
    assert "are not those that were stored; found by its content credential" in found.notes[0]
    assert found.credential.state == "invalid"
    assert found.credential.reasons


@SQLITE
@pytest.mark.parametrize(
    ("task_id", "words"),
    [
        ("t-9", "names task 't-9', which no order has"),
        ("t\0\x1b[31m", r"names task 't\\x00\\x1b\[31m', which no order has"),
        (None, "a content credential of ours is not in it"),
    ],
)
def test_a_credential_of_somebody_elses_leads_nowhere(ledger, tmp_path, monkeypatch, task_id, words):
    """Anybody can write one; what it claims is shown, and fit to be shown."""
    found = SimpleNamespace(task_id=task_id)
    monkeypatch.setattr("seedance_dagster.credential.read_credential", lambda _: found)
    (tmp_path / "theirs.mp4").write_bytes(b"theirs")
    with pytest.raises(UntracedError, match=words):
        trace(ledger, tmp_path / "theirs.mp4")


@SQLITE
def test_a_credential_that_nobody_can_read_is_said_so(desk, ledger, tmp_path, monkeypatch):
    """Without the extra, a file with known bytes is found all the same."""

    def refuse(path):
        raise CredentialError("the extra c2pa is missing")

    monkeypatch.setattr("seedance_dagster.credential.read_credential", refuse)
    path = tmp_path / "x.mp4"
    path.write_bytes(b"bytes")
    with pytest.raises(UntracedError, match="no content credential was read: the extra c2pa is missing"):
        trace(ledger, path)
    desk.stored(sha256=digest_of(path), credential={"label": "urn:x"})
    assert trace(ledger, path).notes == ["no content credential was read: the extra c2pa is missing"]


@SQLITE
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("t-9", "no order in .* has a task t-9, and there is no such file; traced can be an s3://"),
        ("cat.mp4", "there is no such file"),
        ("ab" * 32, "no video in .* has, or was delivered with, the sha256"),
        ("spots/elk", "knows no partition spots/elk"),
        ("spots/fox", "nothing was ordered for spots/fox yet"),
        ("spots/dog", "several takes, name one: spots/dog.t2, spots/dog.t10$"),
        (f"s3://videos/seedance/spots/cat/{'b' * 12}-a1/video.mp4", "no order whose files would be at"),
        (f"{FOLDER[:-1]}2/video.mp4", "no order whose files would be at"),
    ],
)
def test_what_is_not_in_the_ledger_is_said_so(desk, ledger, given, words):
    """The message names what was looked for, and what else could be meant."""
    for partition in ("cat", "dog.t10", "dog.t2"):
        desk.stored(partition)
    ledger.note_prompts_reported("spots", {"fox": "f"})
    with pytest.raises(UntracedError, match=words):
        trace(ledger, given)


@SQLITE
@pytest.mark.parametrize(
    "given",
    [
        "",
        "a b",
        "./nowhere.mp4",
        "/",
        "a/b/c",
        "x" * 5000 + "!",
        "nul\0",
        "\udcff",
        "s3://",
        "s3://videos/a.mp4",
    ],
)
def test_what_can_be_nothing_of_the_kind_is_told_what_can(ledger, given):
    """No argument leads to a traceback: what is allowed is named."""
    with pytest.raises(UnknownFormError, match=r"<set>/<partition>"):
        trace(ledger, given)


@SQLITE
def test_a_copy_elsewhere_is_found_with_a_word_of_warning(desk, ledger):
    """A replica in another bucket and files below another prefix are told apart from the original."""
    desk.stored()
    copied = trace(ledger, FOLDER.replace("videos", "replica") + "/video.mp4")
    assert marks(copied) == {1: "video"}
    assert copied.notes == [
        "the videos of this ledger are in the bucket videos; found by the rest of the URI"
    ]
    moved = trace(ledger, FOLDER.replace("seedance", "old/place") + "/video.mp4")
    assert moved.notes == ["the ledger has no file there; found by the last parts of the URI"]


def test_the_chain_has_earlier_requests_attempts_and_what_is_in_flight(desk, ledger):
    """From the prompt to what Dagster was told, in the order in which things happened."""
    desk.ended(fingerprint="a" * 64)
    desk.stored(fingerprint="b" * 64)
    desk.submitted(fingerprint="b" * 64, run="run-2")
    desk.queued(fingerprint="c" * 64)
    ledger.note_prompts_reported("spots", {"cat": "b" * 64})
    found = one(trace(ledger, "t-2"))
    assert (found.in_flight, found.points_charged, found.told_fingerprint) == (2, POINTS + 50_000, "b" * 64)
    assert [(each.fingerprint[0], each.asked_now) for each in found.requests] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    first, second, third, fourth = orders(trace(ledger, "t-2"))
    assert [each.state for each in (first, second, third, fourth)] == [
        State.REJECTED,
        State.STORED,
        State.SUBMITTED,
        State.QUEUED,
    ]
    assert [each.in_flight for each in (first, second, third, fourth)] == [False, False, True, True]
    assert [each.told_dagster for each in (first, second, third, fourth)] == [None, "stored", None, None]
    assert (first.error_class, first.files, first.task.points_charged) == ("moderation", [], 50_000)
    assert (second.run_id, second.job_name, second.run_tags) == (
        "run-1",
        "advance_generations",
        {"owner": "ann"},
    )
    assert (third.attempt, third.run_id, third.task.task_id, fourth.task) == (2, "run-2", "t-3", None)
    assert [each.kind for each in second.files] == ["video", "poster", "manifest"]
    assert [step.to_state for step in second.journal] == [
        "queued",
        "claimed",
        "submitted",
        "succeeded",
        "stored",
    ]
    assert second.accepted_at < second.submitted_at < second.finished_at == second.journal[-1].at
    assert first.finished_at == first.journal[-1].at
    assert third.finished_at is fourth.finished_at is None


def test_the_request_says_what_was_asked_for(desk, ledger):
    """The text as it is, what was set, and what was known of each reference."""
    desk.stored()
    [request] = one(trace(ledger, "spots/cat")).requests
    assert request.prompt == "The cat in @image1 walks"
    assert request.parameters == {"task_type": "seedance-2-fast", "mode": "omni_reference", "duration": 5}
    [reference] = request.references
    assert (reference.kind, reference.position, reference.url) == (
        "image",
        1,
        "https://cdn.example.com/cat.png",
    )
    assert (reference.facts.media_type, reference.facts.size_bytes) == ("image/png", 1234)


@SQLITE
def test_no_signature_is_ever_shown(desk, ledger):
    """References, tags, logs, links and errors are shown without what a URL may hide."""
    desk.ended()
    desk.succeeded()
    broken = desk.succeeded("dog")
    reason = f"no answer from https://storage.example.com/v.mp4?{SECRET}"
    ledger.transfer_failed(broken, actor="w", due_at=desk.clock(), reason=reason)
    told = trace(ledger, "spots/cat").model_dump_json() + trace(ledger, "spots/dog").model_dump_json()
    assert "https://cdn.example.com/cat.png" in told
    assert "no answer from https://storage.example.com/v.mp4" in told
    assert SECRET not in told
    assert "pw@" not in told


@SQLITE
def test_what_was_seen_in_s3_stands_beside_each_file(desk, ledger):
    """There, missing, of another size, or not looked at are four different things."""
    order = desk.stored()
    keys = object_keys("seedance", "spots", "cat", order.fingerprint, 1)
    sizes = {keys.video: 901, keys.manifest: 4321}

    def seen(found):
        return [file.in_s3 for file in orders(found)[0].files]

    assert seen(trace(ledger, "t-1", sizes=sizes)) == ["other size", None, "there"]
    assert seen(trace(ledger, "t-1", sizes={keys.video: 900, keys.poster: None})) == [
        "there",
        "missing",
        None,
    ]


def test_the_video_that_is_shown_is_the_ledgers_own_choice(desk, ledger):
    """After an edit, an edit taken back and another attempt it is what the set's index shows."""
    for fingerprint in "aba":
        desk.stored(fingerprint=fingerprint * 64)
    desk.ended(fingerprint="a" * 64)
    for told in (None, "b" * 64, "a" * 64, "c" * 64):
        if told is not None:
            ledger.note_prompts_reported("spots", {"cat": told})
        shown = [order.order_id for order in orders(trace(ledger, "spots/cat")) if order.shown]
        assert shown == [order.order_id for order in ledger.shown("spots")]


@SQLITE
def test_the_same_bytes_in_several_partitions_are_all_shown(desk, ledger, monkeypatch):
    """A vendor may deliver the same file for many tasks; not without end, which is said."""
    monkeypatch.setattr(origin, "MOST", 2)
    for partition in ("cat", "dog", "elk"):
        desk.stored(partition, sha256="d" * 64)
    found = trace(ledger, "d" * 64)
    assert [each.partition for each in found.partitions] == ["cat", "dog"]
    assert found.notes == ["more than 2 orders have these bytes; the first 2 are shown"]


@SQLITE
def test_no_question_reads_a_whole_table(desk, ledger):
    """Every statement of a trace finds its rows by an index, so that it stays fast among 100,000 orders."""
    desk.stored()
    asked = []
    engine = ledger._database._engine

    @sa.event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, many):
        asked.append((statement, parameters))

    for given in ("t-1", f"{1:064x}", "spots/cat", f"{FOLDER}/video.mp4"):
        trace(ledger, given)
    for given in ("t-9", "spots/elk"):
        with pytest.raises(UntracedError):
            trace(ledger, given)
    statements = {statement: parameters for statement, parameters in asked if statement.startswith("SELECT")}
    assert len(statements) >= 6
    with engine.connect() as connection:
        for statement, parameters in statements.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            steps = [row[3] for row in plan]
            assert not [step for step in steps if step.startswith("SCAN seedance")], (statement, steps)


@pytest.mark.parametrize("prefix", ["", "seedance", "a/b-a1/c"])
@pytest.mark.parametrize(("partition", "attempt"), [("cat", 1), ("cat-a2.t3", 12)])
def test_a_key_tells_its_order(prefix, partition, attempt):
    """Every key that is written can be read back, whatever its prefix looks like."""
    keys = object_keys(prefix, "spots", partition, "0123456789abcdef", attempt)
    for kind in ("video", "poster", "manifest"):
        found = order_folder(getattr(keys, kind))
        assert (found.prompt_set, found.partition, found.file) == ("spots", partition, kind)
        assert found.is_of("0123456789abcdef", attempt)
        assert not found.is_of("0123456789abcdef", attempt + 1)
        assert not found.is_of("1123456789abcdef", attempt)


@pytest.mark.parametrize(
    "key", ["", "video.mp4", "seedance/spots/index.jsonl", "spots/cat/abc/video.mp4", "a-a1/x"]
)
def test_other_keys_tell_no_order(key):
    """What does not look like an order's folder is none."""
    assert order_folder(key) is None

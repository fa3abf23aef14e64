"""Origins: how a thing is found, and the message for a thing that is not found."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from factories import read_prompts
from media_support import make_clip
from order_factory import OrderFactory
from pydantic import SecretStr
from trace_support import FOLDER, one, orders_of, trace, traced_orders

from seedance_dagster.ledger.order import State
from seedance_dagster.media.credentials import CredentialError, CredentialSettings, Provenance, Signer
from seedance_dagster.media.credentials.chain import make_test_chain
from seedance_dagster.trace import origin
from seedance_dagster.trace.chain import Trace
from seedance_dagster.trace.origin import Form, NotTraceableError, UnknownOriginError


@pytest.fixture
def orders(ledger, clock) -> OrderFactory:
    return traced_orders(ledger, clock)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def marks(result: Trace) -> dict[int, str]:
    return {traced.order.order_id: traced.mark for traced in one(result).orders if traced.mark is not None}


@pytest.mark.each_database
def test_each_form_finds_the_chain_and_marks_the_thing(orders, ledger):
    """The whole partition is shown, and exactly one of its orders is marked."""
    orders.make(State.STORED, artifacts={"sha256": "1f" * 32, "delivered_sha256": "2e" * 32})
    orders.make(State.STORED)
    orders.make(State.STORED, "dog")
    for thing, form, mark in [
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
        result = trace(ledger, thing)
        assert (result.origin.form, result.origin.subject, result.origin.notes) == (form, thing, ())
        assert [order.attempt for order in orders_of(result)] == [1, 2]
        assert marks(result) == ({} if mark is None else {1: mark})


def test_a_file_is_found_by_its_bytes_under_any_name(orders, ledger, tmp_path, monkeypatch):
    """Stored or delivered bytes are enough; no credential is read where none was signed."""
    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", None)
    path = tmp_path / "holiday (2)"
    path.write_bytes(b"bytes")
    orders.make(State.STORED, artifacts={"delivered_sha256": digest_of(path)})
    assert marks(trace(ledger, path)) == {1: "video as delivered"}
    orders.make(State.STORED, artifacts={"sha256": digest_of(path)})
    assert marks(trace(ledger, path)) == {1: "video as delivered", 2: "video"}


def test_a_changed_file_is_found_by_its_credential(orders, ledger, tmp_path):
    """A changed byte makes the credential invalid, and it still names the task."""
    clip, signed = tmp_path / "clip.mp4", tmp_path / "signed.mp4"
    clip.write_bytes(make_clip())
    now = datetime.now(UTC)
    chain = make_test_chain(tmp_path / "chain", now=now)
    signer = Signer(CredentialSettings(certificate=str(chain.certificate), key=SecretStr(str(chain.key))))
    provenance = Provenance(
        task_id="t-1", model="seedance-2-fast", delivered_sha256=digest_of(clip), prompt="p"
    )
    signed_with = signer.sign(clip, signed, provenance, now=now)
    orders.make(
        State.STORED,
        artifacts={
            "sha256": digest_of(signed),
            "delivered_sha256": digest_of(clip),
            "credential": signed_with,
        },
    )
    result = trace(ledger, signed)
    assert marks(result) == {1: "video"}
    assert (result.origin.credential.state, result.origin.credential.task_id) == ("valid", "t-1")
    assert result.origin.credential.delivered_sha256 == digest_of(clip)
    assert orders_of(result)[0].credential == signed_with
    body = bytearray(signed.read_bytes())
    body[-1] ^= 1
    signed.write_bytes(body)
    result = trace(ledger, signed)
    assert marks(result) == {1: "content credential"}
    assert "are not the stored ones; found by its content credential" in result.origin.notes[0]
    assert result.origin.credential.state == "invalid"
    assert result.origin.credential.reasons


@pytest.mark.parametrize(
    ("task_id", "words"),
    [
        ("t-9", "names task 't-9', which no order has"),
        ("t\0\x1b[31m", r"names task 't\\x00\\x1b\[31m', which no order has"),
        (None, "it has no content credential of this package"),
    ],
)
def test_a_foreign_credential_finds_no_order(ledger, tmp_path, monkeypatch, task_id, words):
    """Anybody can write one; the task that it names is shown in printable text."""
    credential = SimpleNamespace(task_id=task_id)
    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", lambda _: credential)
    (tmp_path / "theirs.mp4").write_bytes(b"theirs")
    with pytest.raises(UnknownOriginError, match=words):
        trace(ledger, tmp_path / "theirs.mp4")


def test_an_unreadable_credential_is_reported(orders, ledger, tmp_path, monkeypatch):
    """Without the extra, a file with known bytes is still found."""

    def refuse(path):
        raise CredentialError("the extra c2pa is missing")

    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", refuse)
    path = tmp_path / "x.mp4"
    path.write_bytes(b"bytes")
    with pytest.raises(
        UnknownOriginError, match="its content credential could not be read: the extra c2pa is missing"
    ):
        trace(ledger, path)
    orders.make(State.STORED, artifacts={"sha256": digest_of(path), "credential": {"label": "urn:x"}})
    assert trace(ledger, path).origin.notes == (
        "its content credential could not be read: the extra c2pa is missing",
    )


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ("t-9", "no order in .* has a task t-9, and there is no such file; allowed are an s3://"),
        ("cat.mp4", "there is no such file"),
        ("ab" * 32, "no video in .* has the sha256"),
        ("spots/elk", "has no partition spots/elk"),
        ("spots/fox", "nothing has been ordered for spots/fox yet"),
        (f"s3://videos/seedance/spots/cat/{'b' * 12}-a1/video.mp4", "no order with files at"),
        (f"{FOLDER[:-1]}2/video.mp4", "no order with files at"),
    ],
)
def test_a_thing_that_the_ledger_does_not_know_gives_a_message(orders, ledger, thing, words):
    """The message names what was looked for, and alternatives."""
    orders.make(State.STORED, "cat")
    read_prompts(ledger, "spots", {"fox": "f"})
    with pytest.raises(UnknownOriginError, match=words):
        trace(ledger, thing)


@pytest.mark.parametrize(
    "thing",
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
def test_a_thing_that_cannot_be_traced_gives_a_message(ledger, thing):
    """No argument leads to a traceback: the message says what is allowed."""
    with pytest.raises(NotTraceableError, match=r"<set>/<partition>"):
        trace(ledger, thing)


def test_a_copy_elsewhere_is_found_with_a_note(orders, ledger):
    """A replica in another bucket, or under another prefix, gets a note."""
    orders.make(State.STORED)
    copied = trace(ledger, FOLDER.replace("videos", "replica") + "/video.mp4")
    assert marks(copied) == {1: "video"}
    assert copied.origin.notes == (
        "the videos of this ledger are in bucket videos; found by the rest of the URI",
    )
    moved = trace(ledger, FOLDER.replace("seedance", "old/place") + "/video.mp4")
    assert moved.origin.notes == ("the ledger has no file at this URI; found by the last parts of its key",)


def test_the_same_bytes_in_several_partitions_are_all_shown(orders, ledger, monkeypatch):
    """The vendor may deliver the same file for many tasks; the number shown is limited, with a note."""
    monkeypatch.setattr(origin, "MAX_ORDERS", 2)
    for partition in ("cat", "dog", "elk"):
        orders.make(State.STORED, partition, artifacts={"sha256": "d" * 64})
    result = trace(ledger, "d" * 64)
    assert [partition.partition for partition in result.partitions] == ["cat", "dog"]
    assert result.origin.notes == ("more than 2 orders have these bytes; the first 2 are shown",)

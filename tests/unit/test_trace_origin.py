"""Tracing: what a thing is found by, and what is said of a thing that is not found."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from media_support import make_clip
from pydantic import SecretStr
from trace_support import FOLDER, Desk, orders, trace

from seedance_dagster.media.credentials import CredentialError, CredentialSettings, Provenance, Signer
from seedance_dagster.media.credentials.chain import make_test_chain
from seedance_dagster.trace import origin
from seedance_dagster.trace.models import Trace
from seedance_dagster.trace.origin import Form, UnknownFormError, UntracedError


@pytest.fixture
def desk(ledger, clock) -> Desk:
    return Desk(ledger, clock)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def marks(found: Trace) -> dict[int, str]:
    return {order.order_id: order.mark for order in orders(found) if order.mark is not None}


@pytest.mark.each_database
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


def test_a_file_is_found_by_its_bytes_under_any_name(desk, ledger, tmp_path, monkeypatch):
    """Stored or delivered bytes are enough; no credential is looked for where none was put in."""
    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", None)
    path = tmp_path / "holiday (2)"
    path.write_bytes(b"bytes")
    desk.stored(delivered=digest_of(path))
    assert marks(trace(ledger, path)) == {1: "video as delivered"}
    desk.stored(sha256=digest_of(path))
    assert marks(trace(ledger, path)) == {1: "video as delivered", 2: "video"}


def test_a_credential_is_read_back_and_finds_what_its_bytes_do_not(desk, ledger, tmp_path):
    """A signed file says what it was signed with; a changed byte makes it invalid, and it is still found."""
    clip, signed = tmp_path / "clip.mp4", tmp_path / "signed.mp4"
    clip.write_bytes(make_clip())
    now = datetime.now(UTC)
    chain = make_test_chain(tmp_path / "chain", now=now)
    signer = Signer(CredentialSettings(certificate=str(chain.certificate), key=SecretStr(str(chain.key))))
    provenance = Provenance(
        task_id="t-1", model="seedance-2-fast", delivered_sha256=digest_of(clip), prompt="p"
    )
    put_in = signer.sign(clip, signed, provenance, now=now)
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
    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", lambda _: found)
    (tmp_path / "theirs.mp4").write_bytes(b"theirs")
    with pytest.raises(UntracedError, match=words):
        trace(ledger, tmp_path / "theirs.mp4")


def test_a_credential_that_nobody_can_read_is_said_so(desk, ledger, tmp_path, monkeypatch):
    """Without the extra, a file with known bytes is found all the same."""

    def refuse(path):
        raise CredentialError("the extra c2pa is missing")

    monkeypatch.setattr("seedance_dagster.media.credentials.read_credential", refuse)
    path = tmp_path / "x.mp4"
    path.write_bytes(b"bytes")
    with pytest.raises(UntracedError, match="no content credential was read: the extra c2pa is missing"):
        trace(ledger, path)
    desk.stored(sha256=digest_of(path), credential={"label": "urn:x"})
    assert trace(ledger, path).notes == ["no content credential was read: the extra c2pa is missing"]


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
    ledger.reports.mark_prompts("spots", {"fox": "f"})
    with pytest.raises(UntracedError, match=words):
        trace(ledger, given)


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


def test_the_same_bytes_in_several_partitions_are_all_shown(desk, ledger, monkeypatch):
    """A vendor may deliver the same file for many tasks; not without end, which is said."""
    monkeypatch.setattr(origin, "MOST", 2)
    for partition in ("cat", "dog", "elk"):
        desk.stored(partition, sha256="d" * 64)
    found = trace(ledger, "d" * 64)
    assert [each.partition for each in found.partitions] == ["cat", "dog"]
    assert found.notes == ["more than 2 orders have these bytes; the first 2 are shown"]

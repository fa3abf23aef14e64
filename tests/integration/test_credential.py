"""Content credentials from the vendor to S3: signed, stored, downloaded and read, and no video is lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from code_location import QUIET, running_location
from credential_support import NOW, flipped, signer_of
from dagster_aws.s3 import S3Resource
from harness import Engine

from seedance_dagster.cli.root import root
from seedance_dagster.defs.resources import VideoStoreResource
from seedance_dagster.engine.events import Delayed, Stored
from seedance_dagster.engine.ordering.place import OrderingError
from seedance_dagster.engine.stages.collect import Collector
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.media.credentials import CredentialState, read_credential
from seedance_dagster.media.credentials.chain import Chain, make_test_chain
from seedance_dagster.media.video import probe
from seedance_dagster.storage.manifest import Manifest

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_test_chain(tmp_path_factory.mktemp("chain"), now=NOW)


@pytest.fixture
def signing(start_engine, chain: Chain) -> Callable[..., Any]:
    """Return a function that starts an engine whose videos are signed."""

    @contextmanager
    def start(by: Chain = chain, **settings: Any) -> Iterator[Engine]:
        with start_engine() as engine:
            engine.services = replace(engine.services, signer=signer_of(by, **settings))
            yield engine

    return start


def consistent(engine: Engine, order: Order) -> bytes:
    """Return the stored video after checking that ledger, object, manifest and poster agree."""
    store = engine.services.store
    video, manifest = store.get_bytes(order.video_key), store.get_bytes(order.manifest_key)
    digest = hashlib.sha256(video).hexdigest()
    assert (order.state, order.sha256, order.size_bytes) == (State.STORED, digest, len(video))
    assert store.head(order.video_key).metadata["sha256"] == digest
    assert manifest == Manifest.of(order).to_json()
    assert hashlib.sha256(store.get_bytes(order.poster_key)).hexdigest() == order.poster_sha256
    return video


def test_a_signed_video_is_stored_downloaded_and_traced(signing, s3_server, chain, tmp_path, monkeypatch):
    """A signed video plays, is trusted and names its task; `trace` finds its prompt by both hashes."""
    with signing(include_prompt=True) as engine:
        [event] = [
            event for event in engine.run(engine.place("a cat in the rain")) if isinstance(event, Stored)
        ]
        order = engine.services.ledger.queries.get(event.order.order_id)
        path = tmp_path / "Holiday (final) 2.mp4"
        path.write_bytes(consistent(engine, order))
    assert probe(path).duration_s == order.duration_s
    credential = read_credential(path, trust=chain.root)
    assert (credential.state, credential.task_id, credential.model) == (
        CredentialState.TRUSTED,
        order.task_id,
        "seedance-2",
    )
    assert credential.prompt == "a cat in the rain"
    assert (
        credential.delivered_sha256
        == order.delivered_sha256
        != order.sha256
        == order.credential["signed_sha256"]
    )
    assert order.credential["certificate"]["serial"] == credential.serial
    assert order.credential["label"] == credential.label

    store = engine.services.store
    settings = s3_server.environ | {
        "SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db",
        "SEEDANCE_S3_PREFIX": store.prefix,
    }
    monkeypatch.setattr("os.environ", settings)
    monkeypatch.chdir(tmp_path)
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(flipped(path.read_bytes()))
    for thing, mark in (
        (path.name, "video"),
        (order.delivered_sha256, "video as delivered"),
        (changed.name, ""),
    ):
        done = CliRunner().invoke(root, ["trace", thing, "--json"])
        assert done.exit_code == 0, done.output
        trace = json.loads(done.stdout)
        assert [(partition["prompt_set"], partition["partition"]) for partition in trace["partitions"]] == [
            ("spots", "p0")
        ]
        if mark:
            assert trace["partitions"][0]["orders"][0]["mark"] == mark
    assert trace["credential"]["state"] == "invalid", "found by its credential, which no longer holds"


def test_nothing_is_ordered_that_could_not_be_signed(signing, tmp_path):
    """With an expired certificate or without the key no order is made, and the error says what to do."""
    past = make_test_chain(tmp_path / "past", now=NOW.replace(year=NOW.year - 1))
    with signing(past) as engine:
        with pytest.raises(OrderingError, match=r"nothing was ordered: the signing certificate .* renew it"):
            engine.place("a cat")
        past.key.unlink()
        with pytest.raises(OrderingError, match=r"SEEDANCE_C2PA_KEY\) is neither PEM nor a readable file"):
            engine.place("a cat")
        assert engine.services.ledger.queries.find() == []
        assert engine.books()["summary"]["tasks"] == 0


def test_a_video_that_cannot_be_signed_is_stored_as_it_came(signing, tmp_path):
    """If the key is lost after the order, the video is stored, and ledger, manifest and run say why."""
    chain = make_test_chain(tmp_path / "chain", now=NOW)
    with signing(chain) as engine:
        accepted = engine.place("a cat")
        chain.key.unlink()
        events = engine.run(accepted)
        order = engine.services.ledger.queries.latest("spots")["p0"]
        assert order.sha256 == order.delivered_sha256
        video = consistent(engine, order)
        assert "SEEDANCE_C2PA_KEY" in order.credential["error"]
        [warning] = [event.reason for event in events if isinstance(event, Delayed)]
        assert warning.startswith("p0: stored without a content credential: the signing key")
        [stored] = [event for event in events if isinstance(event, Stored)]
        assert stored.order.order_id == order.order_id
    (tmp_path / "video.mp4").write_bytes(video)
    assert read_credential(tmp_path / "video.mp4") is None


class Killed(BaseException):
    """The end of a process; nothing catches it."""


@pytest.mark.parametrize("step", ["video.mp4", "manifest.json"])
@pytest.mark.long
def test_a_killed_worker_leaves_nothing_inconsistent(signing, monkeypatch, step):
    """The next worker's signature gives other bytes: video, poster, manifest and ledger agree."""
    with signing() as engine:
        store, ledger = engine.services.store, engine.services.ledger
        accepted = engine.place("a cat")
        with monkeypatch.context() as patch:
            patch.setattr(ledger.tasks, "release", lambda *_, **__: None)
            for name in ("put_file", "put_bytes"):
                patch.setattr(store, name, dying_after(getattr(store, name), step))
            with pytest.raises(BaseException) as ended:  # noqa: PT011  a group around the kill
                engine.run(accepted, owner="killed")
        assert "Killed" in repr(ended.value)
        [first] = [key for key in store.listing("spots") if key.endswith("video.mp4")]
        left = store.digest(first)
        engine.services.clock.forward(days=1)  # the dead worker's lease runs out
        engine.run(accepted, owner="next")
        order = ledger.queries.latest("spots")["p0"]
        assert order.sha256 != left
        consistent(engine, order)
        assert engine.books()["summary"]["tasks"] == 1


def dying_after(works: Callable[..., Any], step: str) -> Callable[..., Any]:
    def call(key: str, *args: Any, **kwargs: Any) -> None:
        works(key, *args, **kwargs)
        if key.endswith(step):
            raise Killed

    return call


@pytest.mark.further
def test_another_copy_over_the_signed_video_is_replaced(signing, monkeypatch):
    """A worker without a lease uploads just before the ledger is written: the video is fetched again."""
    with signing() as engine:
        ledger, store = engine.services.ledger, engine.services.store
        stored, copies = ledger.tasks.stored, [b"the copy of another worker"]

        def stored_late(order: Order, **kwargs: Any) -> Order:
            if copies:
                path = engine.folder / "copy.mp4"
                path.write_bytes(copies.pop())
                about = {"content_type": "video/mp4", "sha256": "ab" * 32, "metadata": {}}
                store.put_file(kwargs["artifacts"]["video_key"], path, overwrite=True, **about)
            return stored(order, **kwargs)

        monkeypatch.setattr(ledger.tasks, "stored", stored_late)
        events = engine.run(engine.place("a cat"))
        [reason] = [event.reason for event in events if isinstance(event, Delayed)]
        assert reason == "p0: another worker overwrote the video; it will be fetched again"
        assert sum(isinstance(event, Stored) for event in events) == 1, (
            "a video that was not there was not reported"
        )
        consistent(engine, ledger.queries.latest("spots")["p0"])
        assert engine.books()["summary"]["tasks"] == 1


@pytest.mark.further
def test_a_worker_with_an_expired_lease_uploads_nothing(signing, monkeypatch):
    """Its signature made other bytes, which never replace those of the worker that stored the video."""
    with signing() as engine:
        ledger, store = engine.services.ledger, engine.services.store
        put_file, accepted = store.put_file, engine.place("a cat")
        others: list[Order] = []
        taking = Lock()

        def late(*args: Any, **kwargs: Any) -> None:
            if not others:
                with taking:  # a look for work that began before would take the order once more
                    others.append(accepted[0].order)
                engine.services.clock.forward(days=1)  # its lease runs out
                engine.run(accepted, owner="next")
                others.append(ledger.queries.latest("spots")["p0"])
            put_file(*args, **kwargs)

        take = Collector.take

        async def stopped(self, limit, only):
            if self._worker.name != "late":
                return await take(self, limit, only)
            with taking:
                return [] if others else await take(self, limit, only)

        monkeypatch.setattr(Collector, "take", stopped)
        monkeypatch.setattr(store, "put_file", late)
        engine.run(accepted, owner="late")
        order = ledger.queries.latest("spots")["p0"]
        assert others[1].state is State.STORED
        assert order == others[1]
        consistent(engine, order)
        assert engine.books()["summary"]["tasks"] == 1


@QUIET
@pytest.mark.long
def test_a_run_of_dagster_signs_and_never_keeps_the_key(s3_server, chain, tmp_path, monkeypatch):
    """With the key as text in a variable, the event shows the credential, and Dagster stores no key."""
    monkeypatch.setenv("SEEDANCE_C2PA_KEY", chain.key.read_text())
    (tmp_path / "location").mkdir()
    reached = S3Resource(
        endpoint_url=s3_server.url,
        region_name="us-east-1",
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
    )
    signed = {"bucket": "videos", "s3": reached, "c2pa_key": dg.EnvVar("SEEDANCE_C2PA_KEY")}
    with running_location(tmp_path / "location", s3_server, {"cat": "a cat"}, on_disk=True) as engine:
        with engine.using(video_store=VideoStoreResource(c2pa_certificate="gone.pem", **signed)):
            refused = engine.run("cat", assets=("tasks",)).message
        with engine.using(video_store=VideoStoreResource(c2pa_certificate=str(chain.certificate), **signed)):
            engine.run("cat")
        [order] = engine.orders("cat")
        event = engine.newest("videos", "cat")
        assert "SEEDANCE_C2PA_CERTIFICATE) is neither PEM nor a readable file" in refused
        assert event.metadata["seedance/credential"].value == order.credential
        assert event.tags["dagster/data_version"] == order.sha256 == order.credential["signed_sha256"]
        assert "PRIVATE KEY" not in engine.stored_by_dagster()

"""The `archive` command killed for real, again and again: nothing of a journal is lost."""

from __future__ import annotations

import os
import random
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from archive_support import in_ledger, journals, services_of, traced
from audit_world import World
from factories import Clock, open_ledger
from killed_archive import run_archive
from processes_support import loaded_processes
from stores import open_store

from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.base import utc_now

ORDERS = 12
MOMENTS = 120
"""More than a run for a part has, and fewer than one for all of them."""

pytestmark = pytest.mark.integration


@contextmanager
def old_world(ledger_url: str, s3: S3Service, clock: Clock) -> Iterator[World]:
    """Open a world of orders of a hundred days ago, each with three entries, in a bucket of its own."""
    with open_ledger(ledger_url, clock) as ledger:
        world = World(ledger)
        for number in range(1, ORDERS + 1):
            order = world.add(number)
            for repaired in ("x", "y"):
                ledger.repairs.note_repair(order, actor="audit 1", repaired=repaired)
        store = open_store(s3, f"archive-{uuid.uuid4().hex}", world.store.prefix)
        store.client.create_bucket(Bucket=store.bucket)
        for key, body in world.store.objects.items():
            store.client.put_object(Bucket=store.bucket, Key=key, Body=body)
        world.store = store
        yield world


def killed(world: World, ledger_url: str, s3: S3Service, moment: int, folder: Path) -> bool:
    """Run the command until it ends, or kills itself at a moment."""
    environ = unconfigured(os.environ) | s3.environ
    environ |= {
        "AWS_ENDPOINT_URL_S3": s3.url,
        "SEEDANCE_LEDGER_URL": ledger_url,
        "SEEDANCE_S3_BUCKET": world.store.bucket,
    }
    output = folder / "output.txt"
    run = loaded_processes().Process(target=run_archive, args=(moment, for_children(environ), folder, output))
    run.start()
    run.join(120)
    assert run.exitcode in (0, -signal.SIGKILL), output.read_text()
    return run.exitcode != 0


def tree(services: Services) -> list[str]:
    """Return what `trace` shows of an order, without the files that its journal is from."""
    lines = traced(services, "spots/p1").splitlines()
    assert not any("Without" in line for line in lines)
    return [line for line in lines if "in the archive" not in line]


@pytest.mark.further
@pytest.mark.each_database
@pytest.mark.parametrize("seed", [1, pytest.param(4, marks=pytest.mark.long)])
def test_nothing_of_a_journal_is_lost(ledger_url, s3_server, tmp_path, monkeypatch, seed):
    """After each kill all journals are whole and all readers agree, and the last run finishes."""
    monkeypatch.chdir(tmp_path)
    chance, clock = random.Random(seed), Clock(utc_now() - timedelta(days=100))
    with old_world(ledger_url, s3_server, clock) as world:
        ledger, services, kills = world.ledger, services_of(world.ledger, world.store, clock), 0
        before = journals(services), tree(services)
        assert world.kinds() == []
        while killed(world, ledger_url, s3_server, chance.randint(1, MOMENTS), tmp_path):
            kills += 1
            assert (journals(services), tree(services)) == before
            assert world.kinds() == []
            clock.now = utc_now()
            ledger.leases.release("archive", str(ledger.leases.owner_of("archive")))
        assert (journals(services), tree(services)) == before
        assert (in_ledger(services), ledger.archive.unfinished()) == ({ORDERS}, [])
        assert set(world.store.listing(".journal")) == {part.key for part in ledger.archive.parts()}
        assert kills

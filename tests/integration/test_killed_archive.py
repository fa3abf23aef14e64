"""The `archive` command killed for real, again and again: nothing of a journal is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from archive_support import in_ledger, journals, services_of, traced
from audit_world import World
from factories import Clock, open_ledger
from stores import open_store

from seedance_dagster.cli.environ import for_children, unconfigured
from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.base import utc_now

ORDERS = 12
MOMENTS = 120
"""More than a run for a part has, and fewer than one for all of them."""
TESTS = Path(__file__).parents[1]

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


def run_archive(world: World, ledger_url: str, s3: S3Service, moment: int) -> int:
    """Run the command until it ends, or kills itself at a moment."""
    environ: dict[str, Any] = (
        unconfigured(os.environ)
        | s3.environ
        | {
            "AWS_ENDPOINT_URL_S3": s3.url,
            "SEEDANCE_LEDGER_URL": ledger_url,
            "SEEDANCE_S3_BUCKET": world.store.bucket,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        }
    )
    command = [sys.executable, "-m", "killed_archive", str(moment)]
    done = subprocess.run(
        command, env=for_children(environ), check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode


def tree(services: Services) -> list[str]:
    """Return what `trace` shows of an order, without the files that its journal is from."""
    lines = traced(services, "spots/p1").splitlines()
    assert not any("Without" in line for line in lines)
    return [line for line in lines if "in the archive" not in line]


@pytest.mark.each_database
@pytest.mark.parametrize("seed", [1, pytest.param(4, marks=pytest.mark.long)])
def test_nothing_of_a_journal_is_lost(ledger_url, s3_server, tmp_path, monkeypatch, seed):
    """After each kill all journals are whole and all readers agree; the run that is not killed finishes."""
    monkeypatch.chdir(tmp_path)
    chance, clock = random.Random(seed), Clock(utc_now() - timedelta(days=100))
    with old_world(ledger_url, s3_server, clock) as world:
        ledger, services, kills = world.ledger, services_of(world.ledger, world.store, clock), 0
        before = journals(services), tree(services)
        assert world.kinds() == []
        while run_archive(world, ledger_url, s3_server, chance.randint(1, MOMENTS)):
            kills += 1
            assert (journals(services), tree(services)) == before
            assert world.kinds() == []
            clock.now = utc_now()
            ledger.leases.release("archive", str(ledger.leases.owner_of("archive")))
        assert (journals(services), tree(services)) == before
        assert (in_ledger(services), ledger.archive.unfinished()) == ({ORDERS}, [])
        assert set(world.store.listing(".journal")) == {part.key for part in ledger.archive.parts()}
        assert kills

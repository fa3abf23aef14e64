"""Orders that a backup has as queued: what was sent since is adopted, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from audit_world import FakeDagster
from factories import make_prompt_set, open_ledger
from plant_support import make_known

from seedance_dagster.audit.audit import no_progress
from seedance_dagster.engine.runtime.pipeline import poll_due
from seedance_dagster.engine.stages.submit import Submitter
from seedance_dagster.engine.worker import working
from seedance_dagster.ledger.order import State
from seedance_dagster.restore.apply import apply_plan
from seedance_dagster.restore.restore import find_place, plan_restoration, take_place

pytestmark = pytest.mark.integration


def submit(engine) -> None:
    """POST all queued orders, and do nothing else."""

    async def emit(_event: object) -> None:
        return

    async def work() -> None:
        async with working(engine.services, "submitter") as worker:
            submitter = Submitter(worker, emit)
            await asyncio.gather(*map(submitter.handle, await submitter.take(100, None)))

    asyncio.run(work())


def tick(engine) -> None:
    asyncio.run(poll_due(engine.services, owner="tick", time_box_s=60))


@contextmanager
def restored(engine, *texts: str):
    """Replace the ledger by the backup, restore it, and yield it."""
    with open_ledger(f"sqlite:///{engine.folder}/backup.db", engine.services.clock) as backup:
        engine.services = replace(engine.services, ledger=backup)
        place = find_place(engine.services)
        sets = [make_prompt_set(*texts)]
        plan = asyncio.run(
            plan_restoration(engine.services, FakeDagster(), sets, place, progress=no_progress)
        )
        take_place(engine.services, place)
        assert [reason for _, reason in apply_plan(plan, backup, actor="restore 1") if reason] == []
        yield


def back_up(engine) -> None:
    with engine.ledger._database.writing():  # nothing is half written
        for suffix in ("", "-wal", "-shm"):
            source = engine.folder / f"ledger.db{suffix}"
            if source.exists():
                shutil.copy(source, engine.folder / f"backup.db{suffix}")


@pytest.mark.parametrize("sent", [True, False], ids=["sent since", "not sent"])
def test_an_order_that_was_queued_in_the_backup(start_engine, sent):
    """An order that was sent since the backup gets its task; one that was not is sent once (m15)."""
    with start_engine({"grace_s": 60.0}) as engine:
        make_known(engine)
        engine.control("settings", render_seconds=36_000)
        engine.place("a cat")
        back_up(engine)
        engine.services.clock.forward(minutes=5)
        if sent:
            submit(engine)
        engine.services.clock.forward(hours=1)
        with restored(engine, "a cat"):
            [order] = engine.ledger.queries.find(prompt_set="spots")
            assert order.state is State.UNCERTAIN
            engine.services.clock.forward(hours=13)  # longer than any task takes: the absence is proved
            for _ in range(6):
                tick(engine)
                if engine.ledger.queries.get(order.order_id).state is not State.UNCERTAIN:
                    break
                engine.services.clock.forward(seconds=90)
            now = engine.ledger.queries.get(order.order_id)
            assert now.state is (State.SUBMITTED if sent else State.QUEUED), now.error_message
            submit(engine)
            made = [task["request"]["input"]["prompt"] for task in engine.books()["tasks"]]
            assert made.count("a cat") == 1

"""Reconciliation: texts that the vendor changes, leaves out or reports late."""

from __future__ import annotations

import html
from datetime import timedelta
from functools import partial

import pytest
from factories import make_task

from seedance_dagster.api.client import SeedanceClient
from seedance_dagster.engine.account import remember_changes


@pytest.fixture
def echo(monkeypatch):
    """Lets the vendor report other tasks and history rows than were requested."""

    def change(**input_: object) -> None:
        get_task = SeedanceClient.get_task

        async def changed(self, task_id):
            task = await get_task(self, task_id)
            return task.model_copy(update={"input": task.input | input_ if input_ else {}})

        monkeypatch.setattr(SeedanceClient, "get_task", changed)

    return change


@pytest.mark.parametrize("options", [{}, {"prompt": None}, {"prompt": ["a", "cat"]}, {"prompt": " "}])
def test_a_task_that_reports_no_text_may_be_the_order_s(known, clock, echo, options):
    """The task is not adopted and the order not requeued: a person decides, and sees which task it is."""
    engine = known
    engine.lose("a cat")
    lost = list(engine.vendor.tasks)[-1]
    echo(**options)
    engine.reconcile_twice()
    [reason] = engine.doubts()
    assert lost in reason


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("a cat", "a  cat"),
        ("a cat", " a cat\n"),
        ('a "cat" & a dog', "a &quot;cat&quot; &amp; a dog"),
        ('a "cat"', "a “cat”"),
        ("a cafe\N{COMBINING ACUTE ACCENT}", "a café"),
    ],
)
def test_a_text_that_the_vendor_changed_matches_once_a_known_task_showed_the_change(
    known, clock, echo, sent, echoed
):
    """Before that it is in doubt, and never taken for another program's."""
    engine = known
    engine.lose(sent)
    lost = list(engine.vendor.tasks)[-1]
    echo(prompt=echoed)
    assert engine.reconcile().adopted == ()
    [doubt] = engine.doubts()
    assert lost in doubt
    task = make_task(input={"prompt": echoed})
    engine.work(partial(_remember_changes, sent=sent, task=task))
    assert [order.task_id for order in engine.reconcile(now=True).adopted] == [lost]


async def _remember_changes(worker, *, sent, task):
    remember_changes(worker, sent, task)


def test_a_reply_that_changes_the_text_teaches_the_change(known, clock, monkeypatch):
    """A change of a text is remembered for the account when the task is certainly ours."""
    engine = known
    create_task = SeedanceClient.create_task

    async def escaped(self, request, **options):
        task = await create_task(self, request, **options)
        return task.model_copy(update={"input": task.input | {"prompt": html.escape(request.prompt)}})

    monkeypatch.setattr(SeedanceClient, "create_task", escaped)
    engine.place('a "cat"')
    engine.submit()
    assert engine.ledger.observations.recall(f"echo html of account {engine.account_name}")


@pytest.mark.parametrize(("minutes", "adopted"), [(-30, 0), (-1, 1)])
def test_without_a_known_task_a_task_of_about_the_same_minute_is_adopted(engine, clock, minutes, adopted):
    """The clocks are unknown: what an hour's difference would explain is a person's choice."""
    engine.vendor.clock = lambda: clock() + timedelta(minutes=minutes)
    engine.create_out_of_band("a cat")
    engine.vendor.clock = clock
    clock.forward(seconds=30)
    [order] = engine.lose("a cat", fault="500-before")
    assert len(engine.reconcile().adopted) == adopted
    [task_id] = engine.vendor.tasks
    assert engine.read(order)[0].task_id == task_id or task_id in engine.doubts()[0]

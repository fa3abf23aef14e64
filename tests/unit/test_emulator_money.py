"""The emulated vendor's money: holds, charges, refunds and penalties, all of which survive a restart."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from seedance_dagster.emulator.faults import FaultInjector
from seedance_dagster.emulator.record import Phase
from seedance_dagster.emulator.responses import Refusal
from seedance_dagster.emulator.state_file import StateError, StateFile
from seedance_dagster.emulator.upload_store import UploadStore
from seedance_dagster.emulator.vendor import Vendor
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

PRICE = 4_000_000


class Bench:
    """A vendor with a clock that the test moves."""

    def __init__(self, folder=None, **settings):
        self.time = datetime(2026, 4, 5, 13, 33, 26, 103466, tzinfo=UTC)
        rng = random.Random(1)
        self.state = StateFile(folder)
        self.vendor = Vendor(
            EmulatorSettings(**{"jitter": 0, "queue_seconds": 1, "render_seconds": 10, **settings}),
            clock=lambda: self.time,
            state=self.state,
            faults=FaultInjector(rng),
            uploads=UploadStore(self.state, folder),
            rng=rng,
        )

    def order(self, prompt="A cat", **fields):
        request = {"prompt": prompt, "mode": "text_to_video", "duration": 5, **fields}
        return self.vendor.create_task(
            {"model": "seedance", "task_type": "seedance-2-fast", "input": request}
        )

    def wait(self, seconds):
        self.time += timedelta(seconds=seconds)
        return self.vendor.now()


@pytest.fixture
def bench():
    made = Bench(points=10 * PRICE)
    yield made
    made.state.close()


def money(bench, record):
    return record.held, record.charged, record.penalty, bench.vendor.account.points


def test_hold_then_charge(bench):
    """The price is held when the task is created and charged when it completes."""
    record = bench.order()
    assert money(bench, record) == (PRICE, 0, 0, 9 * PRICE)
    bench.wait(1)
    assert record.phase(bench.vendor.now()) is Phase.PROCESSING
    bench.wait(10)
    assert record.phase(bench.vendor.now()) is Phase.COMPLETED
    assert money(bench, record) == (0, PRICE, 0, 9 * PRICE)


@pytest.mark.parametrize("fault", ["vendor-trouble", "real-person", "moderation-early"])
def test_a_failure_is_refunded(bench, fault):
    """A task that fails without a violation costs nothing."""
    record = bench.order(f"A cat [fault:{fault}]")
    bench.wait(60)
    assert record.phase(bench.vendor.now()) is Phase.FAILED
    assert money(bench, record) == (0, 0, 0, 10 * PRICE)


def test_a_rejection_costs_by_the_violations_of_the_day():
    """The share that is kept grows over the UTC day and starts again the next day."""
    bench = Bench(plan_limit=1000, points=1000 * PRICE)
    for _ in range(101):
        bench.order("Bad [fault:moderation]")
    bench.wait(60)
    shares = [record.penalty * 100 // PRICE for record in bench.vendor.tasks.values()]
    assert shares == [1] * 19 + [5] * 81 + [10]
    bench.wait(86_400)
    late = bench.order("Bad [fault:moderation]")
    bench.wait(60)
    assert late.penalty * 100 == PRICE
    bench.state.close()


def test_penalties_can_be_off():
    """Without penalties a rejected task costs nothing."""
    bench = Bench(penalties=False, points=PRICE)
    record = bench.order("Bad [fault:moderation]")
    bench.wait(60)
    assert money(bench, record) == (0, 0, 0, PRICE)
    bench.state.close()


def test_too_few_points_create_no_task():
    """A request that the balance does not cover is refused and changes nothing."""
    bench = Bench(points=PRICE - 1)
    with pytest.raises(Refusal, match="insufficient credits"):
        bench.order()
    assert not bench.vendor.tasks
    assert bench.vendor.account.points == PRICE - 1
    bench.state.close()


def test_a_full_plan_creates_no_task(bench):
    """At the plan limit a request is refused until a task ends."""
    bench.vendor.settings = bench.vendor.settings.changed({"plan_limit": 2})
    bench.order()
    bench.order()
    with pytest.raises(Refusal, match="active task count 2 has reached the plan limit"):
        bench.order()
    assert len(bench.vendor.tasks) == 2
    bench.wait(60)
    assert bench.order().number == 3


def test_a_silent_default_is_billed(bench):
    """A replaced duration is billed as rendered."""
    assert bench.order(duration=99).price == PRICE
    assert bench.order(duration=15).price == 3 * PRICE


def test_charge_can_be_altered_before_and_after_the_end(bench):
    """The altered charge is the one that is paid, whenever it was altered."""
    record = bench.order()
    bench.vendor.alter_charge(record, 5 * PRICE)
    bench.wait(60)
    assert money(bench, record) == (0, 5 * PRICE, 0, 5 * PRICE)
    bench.vendor.alter_charge(record, 7)
    assert money(bench, record) == (0, 7, 0, 10 * PRICE - 7)


def test_audio_that_is_too_long_fails_late(bench):
    """Audio over 15 s is accepted and fails without a clear error, as upstream."""
    urls = {"image_urls": ["https://x.example/a.png"], "audio_urls": ["https://x.example/a.mp3?seconds=16"]}
    record = bench.order(mode="omni_reference", **urls)
    bench.wait(12)
    assert record.phase(bench.vendor.now()) is Phase.PROCESSING
    bench.wait(10)
    assert record.phase(bench.vendor.now()) is Phase.FAILED


def test_first_attempts_can_fail(bench):
    """A counted outcome affects only the first tasks of that prompt."""
    ends = [bench.order("A cat [fault:vendor-trouble*2]").outcome.value for _ in range(3)]
    assert ends == ["vendor-trouble", "vendor-trouble", "completed"]


def test_a_restart_keeps_everything(tmp_path):
    """A new emulator on the same folder has the tasks, the money and the counters, and continues."""
    first = Bench(tmp_path, points=10 * PRICE)
    done, running = first.order("One"), None
    first.wait(60)
    running = first.order("Two")
    first.vendor.count_post("Two")
    first.vendor.count_post("Two\0zero")
    first.state.close()

    second = Bench(tmp_path, points=1)
    second.time = first.time
    assert second.vendor.tasks[done.task_id].charged == PRICE
    assert second.vendor.posts == {"Two": 1, "Two\0zero": 1}
    assert second.vendor.tasks_by_prompt["One"] == 1
    assert second.vendor.account.points == 8 * PRICE
    assert second.vendor.tasks[running.task_id].phase(second.vendor.now()) is Phase.PENDING
    second.wait(60)
    assert second.vendor.tasks[running.task_id].phase(second.vendor.now()) is Phase.COMPLETED
    second.state.close()


def test_the_state_of_a_running_emulator_is_refused(tmp_path):
    """A second emulator on the same folder is refused."""
    first = StateFile(tmp_path)
    with pytest.raises(StateError, match="another emulator"):
        StateFile(tmp_path)
    first.close()


@pytest.mark.parametrize("damage", ["junk", "format", "row", "no folder"])
def test_unreadable_state_is_reported(tmp_path, damage):
    """A damaged or foreign state file is reported with what to do."""
    target = tmp_path / "state"
    if damage == "no folder":
        target.write_text("x")
    elif damage == "junk":
        target.mkdir()
        (target / "emulator.sqlite").write_text("no database" * 1000)
    else:
        state = StateFile(target)
        if damage == "format":
            state.save(notes={"format": 0})
        else:
            state._db.execute("INSERT INTO task VALUES ('x', 1, '{}')")
        state.close()
    with pytest.raises(StateError, match=r"cannot|another version") as raised:
        Bench(target)
    assert str(target) in str(raised.value)

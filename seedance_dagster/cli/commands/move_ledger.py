"""`seedance-dagster move-ledger`: moves the ledger to another database, with its id."""

from __future__ import annotations

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.ledger.errors import LedgerMovedError
from seedance_dagster.ledger.ledger import Ledger


@click.command(
    "move-ledger",
    epilog=examples(
        "move-ledger postgresql+psycopg://seedance@db/seedance",
    ),
)
@click.argument("to_url", metavar="URL")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, to_url: str, as_json: bool) -> None:
    """Move the ledger to the empty database at URL, such as postgresql://user@host/database.

    Everything is copied, and the copy compared row by row. The old ledger is closed for good: it is kept, but
    cannot be used again. First switch off seedance_sensor and let its runs end; afterwards set
    SEEDANCE_LEDGER_URL to the new URL everywhere. Put a password in PGPASSWORD or ~/.pgpass, not in URL.
    """
    source = Ledger.open(ledger_settings().ledger_url)
    try:
        if workers := sorted(source.restoration.workers()):
            raise click.ClickException(
                f"{', '.join(workers)} works with the ledger {source.label}: switch off seedance_sensor, let "
                "its runs end, and try again after a minute"
            )
        if source.journal.position() is None and not source.partitions.sets_read():
            raise click.ClickException(
                f"the ledger {source.label} is empty, so there is nothing to move: set SEEDANCE_LEDGER_URL "
                "or DAGSTER_HOME to that of the ledger that is meant. To begin with a new one, set "
                "SEEDANCE_LEDGER_URL to URL"
            )
        target = _open_target(to_url)
        try:
            if target.label == source.label:
                raise click.UsageError(f"the ledger is in that database already: {source.label}")
            if target.identity.ledger_id == source.identity.ledger_id:
                raise click.ClickException(
                    f"{target.label} is this ledger under another name, or a copy of it, such as one that an "
                    "interrupted move left: name an empty database. Nothing was changed"
                )
            counts = source.moving.move_to(target.moving, label=target.label)
            moved = {"ledger_id": source.identity.ledger_id, "from": source.label, "to": target.label}
        finally:
            target.close()
    finally:
        source.close()
    if as_json:
        print_json(moved | {"rows": counts})
        return
    rows = table("Moved", ("Table", "Rows"), numbers=("Rows",))
    for name, count in counts.items():
        rows.add_row(name, str(count))
    out = console()
    out.print(rows)
    out.print(
        f"The ledger {moved['ledger_id']} is at {moved['to']} now: set SEEDANCE_LEDGER_URL to that "
        f"everywhere, and switch seedance_sensor on again. {moved['from']} is an old copy, and is refused "
        "from now on",
        markup=False,
    )


def _open_target(url: str) -> Ledger:
    try:
        return Ledger.open(url)
    except LedgerMovedError as error:
        raise click.ClickException(
            f"{error.label} is the closed old copy of a ledger that was moved to {error.moved_to}: name an "
            "empty database. Nothing was changed"
        ) from None

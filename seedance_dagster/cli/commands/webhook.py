"""`seedance-dagster webhook`: receives the vendor's webhooks."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import click

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.serving import address, listen, serve

_MOST_CONNECTIONS = 100


@click.command(
    "webhook",
    epilog=examples(
        "webhook --host 0.0.0.0 --path-prefix /hooks",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8020,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--path-prefix",
    default="",
    metavar="PATH",
    help="The prefix that a proxy leaves on each path, such as /hooks.",
)
def command(*, host: str, port: int, path_prefix: str) -> None:
    """Receive the vendor's webhooks, so that finished tasks are polled at once.

    `POST /` takes deliveries that carry SEEDANCE_WEBHOOK_SECRET. `GET /health` says whether the ledger
    answers.
    """
    try:
        import uvicorn  # noqa: F401, PLC0415  an extra

        from seedance_dagster.webhook import create_app  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the webhook needs {error.name}; run pip install 'seedance-dagster[webhook]'"
        ) from None
    from pydantic import SecretStr  # noqa: PLC0415  slow to import

    from seedance_dagster.ledger.ledger import Ledger  # noqa: PLC0415  slow to import

    settings = ledger_settings()
    if not settings.webhook_secret:
        raise click.ClickException(
            "SEEDANCE_WEBHOOK_SECRET and SEEDANCE_WEBHOOK_URL are not set: set both to the values that the "
            "runs use, since deliveries carry the secret"
        )
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger, listen(host, port) as listener:
        app = create_app(ledger, SecretStr(settings.webhook_secret), path_prefix=path_prefix, log=_log)
        click.echo(f"webhook ready at {address(host, listener)}")
        serve(app, listener, most_connections=_MOST_CONNECTIONS, drain_s=5)


def _log(line: str) -> None:
    click.echo(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}")

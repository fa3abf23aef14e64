"""`seedance-dagster gallery`: serves stored videos to a browser, and takes verdicts on them."""

from __future__ import annotations

import contextlib
import secrets
from ipaddress import ip_address
from pathlib import Path

import click

from seedance_dagster.cli.environ import ledger_settings, user_name
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.serving import address, listen, serve

_MOST_CONNECTIONS = 500
_LEAST_TOKEN = 16
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


@click.command(
    "gallery",
    epilog=examples("gallery --review", "gallery --host 0.0.0.0 --token-file /run/secrets/gallery"),
)
@click.option("--review", is_flag=True, help="Let visitors give verdicts; by default they only look.")
@click.option(
    "--reviewer",
    default=user_name,
    show_default="your user name",
    help="The name that verdicts carry unless a reviewer writes another one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8030,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with the token that visitors must know. Without it, a new token is made at each start; "
    "on the loopback address the gallery needs none.",
)
@click.option("--dagster-url", default="", metavar="URL", help="Dagster's UI, which clips link to.")
@click.option(
    "--stream",
    is_flag=True,
    help="Send videos through the gallery, for browsers that cannot reach S3 by links that expire.",
)
def command(
    *,
    review: bool,
    reviewer: str,
    host: str,
    port: int,
    token_file: Path | None,
    dagster_url: str,
    stream: bool,
) -> None:
    """Show the stored videos in a browser; with --review, accept and discard them there.

    The gallery reads the ledger and S3. It orders nothing and deletes nothing, and needs no API key. Press
    Ctrl-C to stop it.
    """
    try:
        import uvicorn  # noqa: F401, PLC0415  an extra

        from seedance_dagster.review.gallery.app import create_gallery  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the gallery needs {error.name}; run pip install 'seedance-dagster[gallery]'"
        ) from None
    from pydantic import SecretStr  # noqa: PLC0415  slow to import

    from seedance_dagster.ledger.ledger import Ledger  # noqa: PLC0415  slow to import
    from seedance_dagster.review.gallery.options import GalleryOptions  # noqa: PLC0415  an extra

    settings = ledger_settings()
    if dagster_url and not dagster_url.startswith(("http://", "https://")):
        raise click.UsageError(f"--dagster-url is {dagster_url!r}; allowed is an address such as http://host")
    local = _is_loopback(host)
    token = _read_token(token_file) if token_file else "" if local else secrets.token_urlsafe(24)
    options = GalleryOptions(
        review=review,
        reviewer=reviewer,
        token=SecretStr(token) if token else None,
        hosts=() if token else _LOOPBACK_NAMES,
        dagster_url=dagster_url,
        stream=stream,
    )
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger, listen(host, port) as listener:
        if review:
            from seedance_dagster.cli.instance import check_ledger_is_known  # noqa: PLC0415  slow to import

            check_ledger_is_known(settings, ledger)  # verdicts in an old copy would be lost
        gallery = create_gallery(ledger, settings.open_store(), options)
        query = f"?token={token}" if token and token_file is None else ""
        click.echo(f"gallery ready at {address(host, listener)}/{query}")
        serve(gallery, listener, most_connections=_MOST_CONNECTIONS, drain_s=2)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _read_token(file: Path) -> str:
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise click.ClickException(f"--token-file {file}: cannot be read: {reason}") from None
    if len(token) < _LEAST_TOKEN:
        raise click.ClickException(
            f"--token-file {file}: the token has {len(token)} characters; needed are {_LEAST_TOKEN} or more, "
            "such as by `openssl rand -hex 24`"
        )
    return token

"""`seedance-dagster credential`: what a video's content credential says, and a chain to try signing with."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from seedance_dagster.cli.output import console, print_json
from seedance_dagster.media.credentials import Credential, CredentialState, read_credential
from seedance_dagster.media.credentials.library import library


@click.group("credential")
def command() -> None:
    """Read a video's content credential, or make a test certificate chain."""


@command.command("read")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CA.pem",
    help="Root certificates whose signers are trusted.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def read(*, file: Path, trust: Path | None, as_json: bool) -> None:
    """Show what an mp4's content credential says, and whether it still holds.

    Nothing is fetched from any host. Ends with status 1 for a file without a credential, for an invalid
    one, and with --trust for a signer that the roots do not vouch for.
    """
    found = read_credential(file, trust=trust)
    if found is None:
        raise click.ClickException(f"{file} holds no content credential")
    if as_json:
        print_json(asdict(found))
    else:
        _show(found)
    wanted = CredentialState.VALID if trust is None else CredentialState.TRUSTED
    if found.state not in (wanted, CredentialState.TRUSTED):
        raise click.exceptions.Exit(1)


@command.command("test-chain")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def test_chain(*, folder: Path) -> None:
    """Make a certificate chain for trying signing out; nobody else trusts it.

    Writes root.pem, certificate.pem and key.pem into FOLDER, over nothing that is there.
    """
    library()
    from seedance_dagster.media.credentials.chain import make_test_chain  # noqa: PLC0415  needs the extra

    chain = make_test_chain(folder, now=datetime.now(UTC))
    click.echo(f"export SEEDANCE_C2PA_CERTIFICATE={chain.certificate.resolve()}")
    click.echo(f"export SEEDANCE_C2PA_KEY={chain.key.resolve()}")
    click.echo(f"For testing only. Readers trust it when told to: --trust {chain.root}", err=True)


def _show(found: Credential) -> None:
    lines = {
        "State": f"{found.state}: {_meaning(found)}",
        "Against it": "; ".join(found.reasons),
        "Written by": found.generator,
        "Signed by": f"{found.signed_by} (serial {found.serial})",
        "Origin": found.source_type,
        "Model": found.model,
        "Task": found.task_id,
        "As delivered": found.delivered_sha256 and f"sha256 {found.delivered_sha256}",
        "Prompt": found.prompt,
        "Manifest": found.label,
    }
    told = console()
    for name, value in lines.items():
        if value:
            told.print(_line(name, value), soft_wrap=True)
    for kept in found.ingredients:
        said = "intact" if kept.intact else "not intact"
        against = f": {'; '.join(kept.reasons)}" if kept.reasons else ""
        told.print(_line("Keeps", f"{kept.label or 'a file'}, {said}{against}"), soft_wrap=True)


def _meaning(found: Credential) -> str:
    if not found.intact:
        return "the file or the credential was changed since it was signed"
    signer = {
        CredentialState.INVALID: "the signer's certificate does not hold",
        CredentialState.VALID: "nobody vouches for the signer",
        CredentialState.TRUSTED: "the signer's certificate is of a trusted root",
    }
    return f"unchanged since it was signed; {signer[found.state]}"


def _line(name: str, value: str) -> Text:
    # What stands in a file may be anybody's: nothing of it steers the terminal.
    return Text(f"{name:<13} " + "".join(each if each.isprintable() else " " for each in value))

"""`seedance-dagster credential`: shows a video's content credential, or makes a test certificate chain."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json, printable
from seedance_dagster.media.credentials import Credential, CredentialState, read_credential
from seedance_dagster.media.credentials.library import library


@click.group("credential")
def command() -> None:
    """Read a video's content credential, or make a test certificate chain."""


@command.command(
    "read",
    short_help="Show and check the content credential of an mp4.",
    epilog=examples("credential read cat-garden.mp4", "credential read cat-garden.mp4 --trust root.pem"),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CA.pem",
    help="Trust signers with a certificate from these roots.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def read(*, file: Path, trust: Path | None, as_json: bool) -> None:
    """Show the content credential of an mp4 and check that it is valid.

    Nothing is fetched from any host. The exit status is 1 for a file without a credential, for an invalid
    credential, and with --trust for a signer that is not trusted.
    """
    credential = read_credential(file, trust=trust)
    if credential is None:
        raise click.ClickException(f"{file} has no content credential")
    if as_json:
        print_json(asdict(credential))
    else:
        _show(credential)
    wanted = CredentialState.VALID if trust is None else CredentialState.TRUSTED
    if credential.state not in (wanted, CredentialState.TRUSTED):
        raise click.exceptions.Exit(1)


@command.command(
    "test-chain",
    short_help="Make a certificate chain for trying out signing.",
    epilog=examples("credential test-chain certificates"),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def test_chain(*, folder: Path) -> None:
    """Make a certificate chain to try signing with; nothing else trusts it.

    Writes root.pem, certificate.pem and key.pem into FOLDER. Existing files are not overwritten.
    """
    library()
    from seedance_dagster.media.credentials.chain import make_test_chain  # noqa: PLC0415  needs the extra

    chain = make_test_chain(folder, now=datetime.now(UTC))
    click.echo(f"export SEEDANCE_C2PA_CERTIFICATE={chain.certificate.resolve()}")
    click.echo(f"export SEEDANCE_C2PA_KEY={chain.key.resolve()}")
    click.echo(f"For testing only. To trust it when reading: --trust {chain.root}", err=True)


def _show(credential: Credential) -> None:
    lines = {
        "State": f"{credential.state}: {_meaning(credential)}",
        "Problems": "; ".join(credential.reasons),
        "Written by": credential.generator,
        "Signed by": f"{credential.signed_by} (serial {credential.serial})",
        "Origin": credential.source_type,
        "Model": credential.model,
        "Task": credential.task_id,
        "As delivered": credential.delivered_sha256 and f"sha256 {credential.delivered_sha256}",
        "Prompt": credential.prompt,
        "Manifest": credential.label,
    }
    out = console()
    for name, value in lines.items():
        if value:
            out.print(_line(name, value), soft_wrap=True)
    for ingredient in credential.ingredients:
        state = "intact" if ingredient.intact else "not intact"
        problems = f": {'; '.join(ingredient.reasons)}" if ingredient.reasons else ""
        out.print(_line("Includes", f"{ingredient.label or 'a file'}, {state}{problems}"), soft_wrap=True)


def _meaning(credential: Credential) -> str:
    if not credential.intact:
        return "the file or the credential was changed after signing"
    signer = {
        CredentialState.INVALID: "the signer's certificate is not valid",
        CredentialState.VALID: "the signer is not trusted",
        CredentialState.TRUSTED: "the signer's certificate comes from a trusted root",
    }
    return f"unchanged since it was signed; {signer[credential.state]}"


def _line(name: str, value: str) -> Text:
    return Text(f"{name:<13} {printable(value)}")

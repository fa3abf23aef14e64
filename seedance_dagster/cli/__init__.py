"""The command line `seedance-dagster`: one file for each command, slow imports only where they are used."""

from __future__ import annotations

from seedance_dagster.cli.root import root


def main() -> None:
    """Run the command line."""
    root(prog_name="seedance-dagster")

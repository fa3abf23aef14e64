"""The command line `seedance-dagster`: one file for each command, slow imports only where they are used."""

from __future__ import annotations

import io
import sys

from seedance_dagster.cli.root import root


def main() -> None:
    """Run the command line; a character that the console does not have is printed as its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    root(prog_name="seedance-dagster")

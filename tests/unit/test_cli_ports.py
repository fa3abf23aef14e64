"""Ports: those of options, and those that stay the same where possible."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from seedance_dagster.cli.local.ports import LOOPBACK, free_port, remembered_ports
from seedance_dagster.cli.root import root


@pytest.mark.parametrize("command", ["emulator", "gallery", "webhook", "dev", "demo"])
@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_number_that_is_no_port_is_refused(command: str, port: str) -> None:
    """The operating system would take another port in its place, without a word."""
    done = CliRunner().invoke(root, [command, "--port", port])
    assert done.exit_code == 2
    assert f"{port} is not in the range" in done.output


def test_ports_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    """A port is chosen again while it is free."""
    file = tmp_path / "ports.json"
    first = remembered_ports(file, ("ui", "s3"))
    assert remembered_ports(file, ("ui", "s3")) == first


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    """A port on which another program listens is not chosen."""
    file = tmp_path / "ports.json"
    taken = remembered_ports(file, ("ui",))["ui"]
    with socket.socket() as other:
        other.bind((LOOPBACK, taken))
        other.listen()
        assert free_port(taken) != taken
        assert remembered_ports(file, ("ui",))["ui"] != taken


def test_an_unreadable_file_is_ignored(tmp_path: Path) -> None:
    """Garbage in the file does not stop a start."""
    file = tmp_path / "ports.json"
    for garbage in ("", "[]", '{"ui": "x"}', '{"ui": 99999999}'):
        file.write_text(garbage)
        assert remembered_ports(file, ("ui",))["ui"] > 0

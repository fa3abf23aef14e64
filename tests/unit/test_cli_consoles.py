"""Output on any console: other encodings, no colour, and brackets as plain text."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.cli.root import root
from seedance_dagster.ledger.order import State

TEXTS = ["a cat \U0001f320", "\u732b", "caf\xe9", "[/x]", "[red]not red[/red]", "[link=https://x.example]x"]


class Stream(io.TextIOWrapper):
    """A console of an encoding."""

    def __init__(self, encoding: str, errors: str = "backslashreplace") -> None:
        super().__init__(io.BytesIO(), encoding, errors)

    def printed(self) -> bytes:
        """Return what was printed."""
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk", "utf-8"])
def test_tables_are_printed_on_any_console(monkeypatch, encoding):
    """Characters that a console lacks are shown as their codes, and lines are drawn with what it has (d9)."""
    stream = Stream(encoding)
    monkeypatch.setattr("sys.stdout", stream)
    rows = table("Prompts", ("Text",))
    for text in TEXTS:
        rows.add_row(text)
    console().print(rows)
    printed = stream.printed().decode(encoding)
    for text in TEXTS:
        assert text.encode(encoding, "backslashreplace").decode(encoding) in printed


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_json_is_utf8_on_any_console(monkeypatch, encoding):
    """JSON output is UTF-8, whatever the console's encoding (d9)."""
    stream = Stream(encoding, "strict")
    monkeypatch.setattr("sys.stdout", stream)
    print_json({"texts": TEXTS})
    assert json.loads(stream.printed().decode("utf-8")) == {"texts": TEXTS}


@pytest.mark.parametrize("variable", ["NO_COLOR=1", "TERM=dumb"])
def test_no_color_means_none(ledger, ledger_url, orders, tmp_path, monkeypatch, variable):
    """A terminal without colour, or a person who wants none, gets none, whichever library prints."""
    orders.make(State.REJECTED, "cat")
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": ledger_url})
    monkeypatch.chdir(tmp_path)
    assert "\x1b[31m" in CliRunner().invoke(root, ["status"], color=True).stdout
    monkeypatch.setenv(*variable.split("="))
    done = CliRunner().invoke(root, ["status"], color=True)
    assert "Problem" in done.stdout
    assert "\x1b" not in done.stdout


def test_brackets_are_printed_as_they_are(capsys):
    """A tag or a task id with `[/x]` is printed as it is (x8)."""
    rows = table("Orders [/title]", ("Task [/column]",))
    for text in TEXTS:
        rows.add_row(text)
    console().print(rows)
    console().print("[/x] is a task")
    printed = capsys.readouterr().out
    for text in (*TEXTS, "[/title]", "[/column]", "[/x] is a task"):
        assert text in printed


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.further)])
def test_a_command_prints_problems_on_any_console(tmp_path, encoding):
    """A message with a character that the console lacks is printed without a traceback or colour (d9)."""
    (tmp_path / "\u732b.csv").write_text("prompt\nA cat\n")
    program = "from seedance_dagster.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "--prompts", str(tmp_path)],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONIOENCODING": encoding, "NO_COLOR": "1", "FORCE_COLOR": "1"},
    )
    output = (done.stdout + done.stderr).decode("ascii", "backslashreplace")  # click takes ascii for UTF-8
    assert done.returncode == 1, output
    assert ".csv has no usable character in its name" in output
    assert "Traceback" not in output

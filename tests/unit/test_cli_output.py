"""Formats of the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import click
import pytest

from seedance_dagster.cli.output import console, print_json, print_table, printable, span, table
from seedance_dagster.money import format_usd


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00"),
        ("0.4", "0.40"),
        ("12", "12.00"),
        ("0.0125", "0.0125"),
        ("1200.5", "1200.50"),
        ("1E+3", "1000.00"),
    ],
)
def test_money_keeps_every_part(amount: str, words: str) -> None:
    """Money is shown to the cent, and finer only where that would hide a part of it."""
    assert format_usd(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (12_000, "3 h 20 min"), (180_000, "2 d 2 h")],
)
def test_spans_have_two_units(seconds: float, words: str) -> None:
    """A length of time is shown in its two largest units."""
    assert span(timedelta(seconds=seconds)) == words


def test_texts_cannot_steer_a_terminal() -> None:
    """Control characters and changes of direction become blanks; what joins letters of a script stays."""
    assert printable("\x1b[31mred\u202e\n") == " [31mred  "
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f469\u200d\U0001f467"
    assert printable(joined) == joined


def test_json_keeps_money_exact(capsys: pytest.CaptureFixture[str]) -> None:
    """Money is written as a string, not as a rounded number."""
    print_json({"usd": Decimal("0.10"), "name": "猫"})
    assert json.loads(capsys.readouterr().out) == {"usd": "0.10", "name": "猫"}


def test_a_long_table_has_the_same_cells_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of thousands of rows costs little, and none of it is left out or cut."""
    rows = [
        (f"cat-{number}", "video of \u732b" if number == 7 else "video", f"{number / 10:.2f}")
        for number in range(2000)
    ]
    print_table(console(), "Prompts", ("Prompt", "Kind", "USD"), rows, numbers=("USD",))
    title, header, *lines = capsys.readouterr().out.splitlines()
    assert (title, header) == ("Prompts", "  Prompt     Kind             USD")
    assert len(lines) == 2000
    assert lines[0] == "  cat-0      video           0.00"
    assert lines[7] == "  cat-7      video of \u732b     0.70", "a wide letter takes two columns"
    assert [tuple(line.split()) for line in lines[8:]] == rows[8:]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_narrow_terminal_hides_nothing(monkeypatch, columns: int) -> None:
    """Numbers stay whole, and no column is lost: a line that is too long for a terminal is broken by it."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    titles = ("Day", "Kind of video", "Points", "USD", "Penalties")
    rows = table("Charges", titles, numbers=titles[2:])
    rows.add_row(
        "2026-11-28", "a video of a cat that walks through a garden", "10,007,200,000", "1000.72", "0.00"
    )
    out = console()
    with out.capture() as captured:
        out.print(rows)
    words = click.unstyle(captured.get()).split()
    assert {"10,007,200,000", "1000.72", "0.00", "Penalties", "2026-11-28", "garden"} <= set(words), words


def test_a_short_table_is_styled(capsys: pytest.CaptureFixture[str]) -> None:
    """A few rows are shown as all tables are."""
    print_table(console(), "Prompts", ("Prompt", "USD"), [("cat", "0.24")], numbers=("USD",))
    assert "\u2500" in capsys.readouterr().out

"""Output of commands: tables for people, JSON for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from seedance_dagster.money import points_to_usd

if TYPE_CHECKING:
    from seedance_dagster.audit.sources import Progress as ShowProgress
    from seedance_dagster.ledger.budgets import BudgetUsage

_WIDE = 200  # so that no URL in a table is cut
_LEAST = 80  # a table in fewer columns loses its texts, while a terminal only breaks longer lines
_STYLED_ROWS = 500
_JOINERS = "\u200c\u200d"  # inside Persian words, and emoji such as families


def console(*, width: int = _WIDE) -> Console:
    """Return a console on standard output, at least 80 columns wide; in a file or pipe, `width` columns."""
    out = Console(highlight=False, markup=False)  # what is printed comes from files and replies
    if out.is_terminal and out.width >= _LEAST:
        return out
    return Console(highlight=False, markup=False, width=_LEAST if out.is_terminal else width)


def print_json(value: Any) -> None:
    """Print one JSON document, in UTF-8 on any console; amounts of money become strings, times ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=_as_text, ensure_ascii=False).encode(errors="replace"))


def table(title: str, columns: Sequence[str], *, numbers: Sequence[str] = ()) -> Table:
    """Return an empty table; columns named in `numbers` are aligned to the right, on one line."""
    rows = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD
    )
    for column in columns:
        number = column in numbers
        rows.add_column(column, justify="right" if number else "left", overflow="fold", no_wrap=number)
    return rows


def print_table(
    out: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
) -> None:
    """Print a table; one with many rows in plain lines, since styled cells take half a millisecond each."""
    if len(rows) <= _STYLED_ROWS:
        styled = table(title, columns, numbers=numbers)
        for row in rows:
            styled.add_row(*row)
        out.print(styled)
        return
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    is_number = [column in numbers for column in columns]
    lines = [title]
    for row in (columns, *rows):
        padded = []
        for cell, width, right in zip(row, widths, is_number, strict=True):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if right else cell + blanks)
        lines.append("  " + "   ".join(padded).rstrip())
    click.echo("\n".join(lines))


@contextlib.contextmanager
def progress_bars() -> Iterator[ShowProgress]:
    """Show a bar for each step on a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    display = Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    )
    bars: dict[str, Any] = {}

    def show(step: str, done: int, total: int) -> None:
        if step not in bars:
            bars[step] = display.add_task(step, total=total)
        display.update(bars[step], completed=done, total=total)

    with display:
        yield show


def printable(text: str) -> str:
    """Return a text with control characters replaced: text in files and replies must not steer a terminal."""
    return "".join(letter if letter.isprintable() or letter in _JOINERS else " " for letter in text)


def shortened(text: str, length: int) -> str:
    """Return a text for a cell of a table, with control characters replaced, and cut to a length."""
    text = printable(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def budgets_as_json(usages: Sequence[BudgetUsage]) -> list[dict[str, Any]]:
    """Return budgets with what is reserved, spent and remaining, in USD."""
    return [
        {
            "window": usage.budget.window,
            "prompt_set": usage.budget.prompt_set,
            "limit_usd": points_to_usd(usage.budget.points),
            "reserved_usd": points_to_usd(usage.reserved),
            "spent_usd": points_to_usd(usage.spent),
            "remaining_usd": points_to_usd(usage.remaining),
        }
        for usage in usages
    ]


def span(length: timedelta) -> str:
    """Format a length of time, such as "3 h 20 min"."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

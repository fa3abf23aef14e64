"""How commands show things: tables for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

_WIDE = 200
_CENT = Decimal("0.01")


def console() -> Console:
    """A console on standard output; into a file or pipe it writes wide lines, so that no address is cut."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDE)


def print_json(value: Any) -> None:
    """Write one JSON document; amounts of money become strings."""
    click.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def table(title: str, columns: Sequence[str], *, numbers: Sequence[str] = ()) -> Table:
    """An empty table; columns named in `numbers` are set to the right."""
    made = Table(
        title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD
    )
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def usd(amount: Decimal) -> str:
    """An amount in USD, to the cent unless that would hide a part of it."""
    exact = amount.quantize(_CENT)
    return f"{exact if exact == amount else amount.normalize():f}"


def span(length: timedelta) -> str:
    """A length of time in words, such as "3 h 20 min"."""
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"

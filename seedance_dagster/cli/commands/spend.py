"""`seedance-dagster spend`: where the money went."""

from __future__ import annotations

import contextlib
import csv
import io
from datetime import UTC, date, datetime, time
from typing import Any

import click
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from seedance_dagster.cli.environ import ledger_environ
from seedance_dagster.cli.output import console, print_json, table, usd
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.spend import Amounts, SpendBy, Sums
from seedance_dagster.money import points_to_usd
from seedance_dagster.settings import Settings

_NONE = "(none)"
_BAR_WIDTH = 24
_IN_TIME = (SpendBy.DAY, SpendBy.MONTH)


class _Day(click.ParamType[datetime]):
    """A day of the calendar; its beginning in UTC."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            day = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; write it as 2026-04-06, it begins in UTC", param, ctx)
        return datetime.combine(day, time(), UTC)


@click.command("spend")
@click.option(
    "--by",
    type=click.Choice(list(SpendBy), case_sensitive=False),
    default=SpendBy.DAY,
    show_default=True,
    help="What to sum up by.",
)
@click.option("--tag", metavar="NAME", help="The prompts' tag to sum up by, with --by tag.")
@click.option("--since", type=_Day(), metavar="DATE", help="Only from this day on, in UTC.")
@click.option("--set", "prompt_set", metavar="NAME", help="Only this prompt set.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV, without a total.")
def command(
    *,
    by: SpendBy,
    tag: str | None,
    since: datetime | None,
    prompt_set: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show what was charged, penalties and what is reserved apart, by day, month, set, model, tag or run.

    Days and months are those of the budgets: in UTC, in which the first attempt was accepted.
    """
    if as_json and as_csv:
        raise click.UsageError("write either --json or --csv")
    if (tag is not None) != (by is SpendBy.TAG):
        raise click.UsageError("--by tag and --tag NAME go together, such as --by tag --tag campaign")
    environment = Settings.from_environ(ledger_environ())
    with contextlib.closing(Ledger.open(environment.ledger_url)) as ledger:
        sums: Sums = ledger.spend.total_by(by, tag=tag or "", since=since, prompt_set=prompt_set)
        if prompt_set is not None and not sums:
            _check_set(ledger, prompt_set)
    if by not in _IN_TIME:
        # The dearest first.
        sums = dict(sorted(sums.items(), key=lambda item: (-item[1].charged, -item[1].reserved)))
    if as_json:
        scope = {"by": by, "tag": tag, "since": since and since.date(), "prompt_set": prompt_set}
        rows = [{"key": key} | _as_json(amounts) for key, amounts in sums.items()]
        print_json(scope | {"rows": rows, "total": _as_json(Amounts.total(sums.values()))})
    elif as_csv:
        click.echo(_as_csv(by, sums), nl=False)
    else:
        _show(by if tag is None else f"tag {tag}", sums)


def _check_set(ledger: Ledger, prompt_set: str) -> None:
    known = sorted({name for name, _ in ledger.workload.counts()})
    if prompt_set not in known:
        named = ", ".join(known) or "none"
        raise click.UsageError(f"nothing was ever ordered for a prompt set {prompt_set}; known: {named}")


def _show(by: str, sums: Sums) -> None:
    told = console()
    if not sums:
        told.print("Nothing was ordered in this time")
        return
    total = Amounts.total(sums.values())
    most = max(amounts.charged for amounts in sums.values())
    numbers = ("Orders", "Videos", "Points", "USD", "Penalties", "Reserved")
    rows = table(f"Charged by {by}", (by.capitalize(), *numbers, ""), numbers=numbers)
    for key, amounts in sums.items():
        bar = Bar(max(most, 1), 0, amounts.charged, width=_BAR_WIDTH)
        _add(rows, _NONE if key is None else key, amounts, bar)
    rows.add_section()
    _add(rows, "Total", total, "")
    told.print(rows)
    told.print("USD and points were charged, penalties among them; reserved is what may still be charged")
    if total.assumed:
        told.print(
            f"{_usd(total.assumed)} USD more are held for finished tasks whose charge the vendor never told; "
            "budgets count them as spent"
        )


def _add(rows: Table, key: str, amounts: Amounts, bar: Bar | str) -> None:
    rows.add_row(
        Text(key),
        f"{amounts.orders:,}",
        f"{amounts.videos:,}",
        f"{amounts.charged:,}",
        *map(_usd, (amounts.charged, amounts.penalties, amounts.reserved)),
        bar,
    )


def _usd(points: int) -> str:
    return usd(points_to_usd(points))


def _as_json(amounts: Amounts) -> dict[str, Any]:
    found: dict[str, Any] = {"orders": amounts.orders, "videos": amounts.videos}
    for name in ("charged", "penalties", "assumed", "reserved"):
        points = getattr(amounts, name)
        found |= {f"{name}_points": points, f"{name}_usd": points_to_usd(points)}
    return found


def _as_csv(by: SpendBy, sums: Sums) -> str:
    content = io.StringIO()
    header = [by, *_as_json(Amounts.total(()))]
    writer = csv.DictWriter(content, header, lineterminator="\n")
    writer.writeheader()
    for key, amounts in sums.items():
        writer.writerow({by: _NONE if key is None else key} | _as_json(amounts))
    return content.getvalue()

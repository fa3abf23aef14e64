"""`seedance-dagster spend`: sums up charges."""

from __future__ import annotations

import contextlib
import csv
import io
from datetime import datetime
from typing import Any

import click
from rich.bar import Bar
from rich.table import Table
from rich.text import Text

from seedance_dagster.cli.environ import ledger_settings
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.instance import warn_of_unknown_ledger
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.cli.since import SINCE_HELP, Since
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.spend import Amounts, SpendBy, Sums
from seedance_dagster.money import format_usd, points_to_usd

_NONE = "(none)"
_BAR_WIDTH = 24
_REVIEW = ("Accepted", "Discarded", "Rejected", "USD/accepted")
_BY_TIME = (SpendBy.DAY, SpendBy.MONTH)


@click.command(
    "spend",
    epilog=examples(
        "spend",
        "spend launch_spots --by model --since 7d",
        "spend --by tag --tag campaign --csv > spend.csv",
    ),
)
@click.argument("prompt_set", required=False, metavar="[SET]")
@click.option(
    "--by",
    type=click.Choice(list(SpendBy), case_sensitive=False),
    default=SpendBy.DAY,
    show_default="day",
    help="Group charges by this.",
)
@click.option("--tag", metavar="NAME", help="With --by tag: the tag of the prompts to group by.")
@click.option(
    "--since", type=Since(whole_days=True), metavar="TIME", help=f"Count only from this day on, {SINCE_HELP}"
)
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
    """Show charges by day, set, model and more, with penalties and reservations separately.

    Days and months are those of the budgets: an order belongs to the UTC day of its first attempt.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other; use one of them")
    if (tag is not None) != (by is SpendBy.TAG):
        raise click.UsageError("--by tag and --tag NAME go together, such as --by tag --tag campaign")
    settings = ledger_settings()
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        warn_of_unknown_ledger(settings, ledger)
        sums: Sums = ledger.spend.total_by(by, tag=tag or "", since=since, prompt_set=prompt_set)
        if prompt_set is not None and not sums:
            _check_set(ledger, prompt_set)
    if by not in _BY_TIME:
        # Highest charge first.
        sums = dict(sorted(sums.items(), key=lambda item: (-item[1].charged, -item[1].reserved)))
    if as_json:
        scope = {"by": by, "tag": tag, "since": since and since.date(), "prompt_set": prompt_set}
        rows = [{"key": key} | _as_json(amounts) for key, amounts in sums.items()]
        print_json(scope | {"rows": rows, "total": _as_json(Amounts.total(sums.values()))})
    elif as_csv:
        click.echo(_as_csv(by, sums).encode(), nl=False)
    else:
        _show(by if tag is None else f"tag {tag}", sums)


def _check_set(ledger: Ledger, prompt_set: str) -> None:
    known = sorted({name for name, _ in ledger.workload.counts()})
    if prompt_set not in known:
        names = ", ".join(known) or "none"
        raise click.UsageError(f"nothing was ever ordered for prompt set {prompt_set}; known sets: {names}")


def _show(by: str, sums: Sums) -> None:
    out = console()
    if not sums:
        out.print("Nothing was ordered in this period")
        return
    total = Amounts.total(sums.values())
    most = max(amounts.charged for amounts in sums.values())
    reviewed = bool(total.accepted or total.discarded)
    numbers = ("Orders", "Videos", "Points", "USD", "Penalties", "Reserved", *(_REVIEW if reviewed else ()))
    rows = table(f"Charges by {by}", (by.capitalize(), *numbers, ""), numbers=numbers)
    for key, amounts in sums.items():
        bar = Bar(max(most, 1), 0, amounts.charged, width=_BAR_WIDTH)
        _add(rows, _NONE if key is None else key, amounts, bar, reviewed=reviewed)
    rows.add_section()
    _add(rows, "Total", total, "", reviewed=reviewed)
    out.print(rows)
    out.print("Points and USD are charges, including penalties; reserved money may still be charged")
    if total.assumed:
        out.print(
            f"{_usd(total.assumed)} USD more are held for finished tasks whose charge the vendor did not "
            "report; budgets count them as spent"
        )


def _add(rows: Table, key: str, amounts: Amounts, bar: Bar | str, *, reviewed: bool) -> None:
    rows.add_row(
        Text(key),
        f"{amounts.orders:,}",
        f"{amounts.videos:,}",
        f"{amounts.charged:,}",
        *map(_usd, (amounts.charged, amounts.penalties, amounts.reserved)),
        *(_review_cells(amounts) if reviewed else ()),
        bar,
    )


def _review_cells(amounts: Amounts) -> tuple[str, ...]:
    per_accepted = amounts.charged_per_accepted
    return (
        _counted(amounts.accepted, amounts.accepted_share),
        _counted(amounts.discarded, amounts.discarded_share),
        _counted(amounts.rejected, amounts.rejected_share),
        "" if per_accepted is None else _usd(per_accepted),
    )


def _counted(number: int, share: float | None) -> str:
    return f"{number:,}" if share is None else f"{number:,} ({share:.0%})"


def _usd(points: int) -> str:
    return format_usd(points_to_usd(points))


def _as_json(amounts: Amounts) -> dict[str, Any]:
    values: dict[str, Any] = {"orders": amounts.orders, "videos": amounts.videos}
    for name in ("charged", "penalties", "assumed", "reserved"):
        points = getattr(amounts, name)
        values |= {f"{name}_points": points, f"{name}_usd": points_to_usd(points)}
    for name in ("accepted", "discarded", "rejected"):
        values |= {name: getattr(amounts, name), f"{name}_share": getattr(amounts, f"{name}_share")}
    per_accepted = amounts.charged_per_accepted
    values["usd_per_accepted"] = None if per_accepted is None else points_to_usd(per_accepted)
    return values


def _as_csv(by: SpendBy, sums: Sums) -> str:
    content = io.StringIO()
    header = [by, *_as_json(Amounts.total(()))]
    writer = csv.DictWriter(content, header, lineterminator="\n")
    writer.writeheader()
    for key, amounts in sums.items():
        writer.writerow({by: _NONE if key is None else key} | _as_json(amounts))
    return content.getvalue()

"""`seedance-dagster prices`: shows the prices of today, and whether charges agree with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

import click
import yaml
from rich.console import Console

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.prices import Price, PriceRow
from seedance_dagster.cli.environ import command_environ, is_home
from seedance_dagster.cli.examples import examples
from seedance_dagster.cli.output import console, print_json, table
from seedance_dagster.health import PriceDrift, price_drifts
from seedance_dagster.ledger.base import utc_now
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.money import format_usd
from seedance_dagster.settings import Settings

_NEWEST = 2000  # charges; enough to have 20 of each price that is in use
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True)
class Outdated:
    """A price that charges do not agree with, and the row that would agree."""

    drift: PriceDrift
    row: dict[str, Any]

    @classmethod
    def of(cls, drift: PriceDrift, catalog: Catalog) -> Outdated:
        """Return the row that matches the charges: a promotion if more must still be reserved."""
        charged = Decimal(median(_charged_rate(order, drift, catalog) for order in drift.deviating))
        rate = charged.quantize(_CENT_OF_A_CENT).normalize()
        first = drift.deviating[0].ordered_at
        reserved = catalog.prices.price(drift.task_type, drift.resolution, at=first).reserved
        row = {
            "type": drift.task_type,
            **({"resolution": drift.resolution} if drift.resolution else {}),
            "usd_per_second": float(rate),
            "valid_from": f"{first:%Y-%m-%dT%H:%MZ}",
        }
        return cls(drift, row | ({"promotion": True} if rate < reserved.usd_per_second else {}))

    @property
    def as_json(self) -> dict[str, Any]:
        """The drift and the row for `--json`."""
        price = {"type": self.drift.task_type, "resolution": self.drift.resolution}
        return price | {"reason": str(self.drift), "row": self.row}

    @property
    def as_yaml(self) -> str:
        """The row as a price file has it."""
        text: str = yaml.safe_dump(self.row, default_flow_style=True, sort_keys=False, width=1000)
        return f"- {text.strip()}"


@click.command(
    "prices",
    epilog=examples(
        "prices",
        "prices seedance-2-fast",
    ),
)
@click.argument("task_type", required=False, metavar="[TYPE]")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(*, task_type: str | None, as_json: bool) -> None:
    """Show the prices of today, the amounts reserved for orders, and where each price comes from.

    If there is a ledger, the newest 20 charges of each price are compared with their estimates. The exit
    status is 1 when they differ by more than 2 %; the row to add to the file of SEEDANCE_PRICES is shown.
    """
    settings = Settings.from_environ(command_environ())
    catalog, now = settings.load_catalog(), utc_now()
    types = catalog.priced_types if task_type is None else (task_type,)
    if task_type not in (None, *catalog.priced_types):
        raise click.UsageError(f"{task_type} has no price; known types: {', '.join(catalog.priced_types)}")
    prices = list(_prices(catalog, types, now))
    outdated = list(_outdated(settings, catalog, types))
    if as_json:
        print_json({"prices": list(map(_as_json, prices)), "outdated": [price.as_json for price in outdated]})
    else:
        out = console()
        _show(out, prices)
        for price in outdated:
            _warn(out, price)
    click.get_current_context().exit(1 if outdated else 0)


def _prices(catalog: Catalog, types: tuple[str, ...], now: datetime) -> Iterator[Price]:
    for task_type in types:
        for resolution in catalog.resolutions(task_type):
            with contextlib.suppress(UnknownPriceError):  # none of its rows applies today
                yield catalog.prices.price(task_type, resolution, at=now)


def _outdated(settings: Settings, catalog: Catalog, types: tuple[str, ...]) -> Iterator[Outdated]:
    if not settings.ledger and not is_home(settings.dagster_home):
        return  # before the first order
    with contextlib.closing(Ledger.open(settings.ledger_url)) as ledger:
        charges = ledger.queries.newest_charges(limit=_NEWEST)
    for drift in price_drifts(charges):
        if drift.outdated and drift.task_type in types:
            with contextlib.suppress(UnknownPriceError):  # of a price file that was replaced since
                yield Outdated.of(drift, catalog)


def _charged_rate(order: Order, drift: PriceDrift, catalog: Catalog) -> Decimal:
    price = catalog.prices.price(drift.task_type, drift.resolution, at=order.ordered_at)
    return price.current.usd_per_second * (order.points_charged or 0) / order.estimated_points


def _show(out: Console, prices: list[Price]) -> None:
    numbers = ("USD/s", "Reserved")
    rows = table("Prices of today", ("Task type", "Resolution", *numbers, "From"), numbers=numbers)
    for price in prices:
        row = price.current
        rows.add_row(
            row.type,
            row.resolution,
            format_usd(row.usd_per_second),
            format_usd(price.reserved.usd_per_second),
            _origin(row),
        )
    out.print(rows)


def _origin(row: PriceRow) -> str:
    kind = "promotion" if row.promotion else "list price"
    since = f" since {row.valid_from:%Y-%m-%d %H:%M} UTC" if row.valid_from else ""
    until = f" until {row.valid_until:%Y-%m-%d %H:%M} UTC" if row.valid_until else ""
    return f"{row.table} ({row.source}): {kind}{since}{until}"


def _warn(out: Console, outdated: Outdated) -> None:
    out.print(f"{outdated.drift.price}: {outdated.drift}", style="red", markup=False)
    out.print("To estimate by it, add this row to prices in the file that SEEDANCE_PRICES names:")
    out.print(f"  {outdated.as_yaml}\n", markup=False, soft_wrap=True)


def _as_json(price: Price) -> dict[str, Any]:
    row = price.current
    return {
        "type": row.type,
        "resolution": row.resolution,
        "usd_per_second": row.usd_per_second,
        "reserved_usd_per_second": price.reserved.usd_per_second,
        "promotion": row.promotion,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "table": row.table,
        "source": row.source,
    }

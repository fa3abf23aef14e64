"""Accepted videos with content, and exports of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from factories import REQUEST
from order_factory import OrderFactory
from stores import MemoryStore

from seedance_dagster.datasets.export.export import Exported, export
from seedance_dagster.datasets.export.plan import Format, plan_export, select_accepted
from seedance_dagster.datasets.export.s3_destination import open_destination
from seedance_dagster.datasets.export.splits import DEFAULT_SPLITS, Splits
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.verdict import Judgement, Verdict

FILE_FORMATS = [form for form in Format if form is not Format.LANCE]
"""The formats that need no further library, and have the same bytes every time."""


class Shop:
    """A ledger and a store with videos of the set spots, and exports of them."""

    def __init__(self, orders: OrderFactory) -> None:
        self.orders, self.ledger = orders, orders.ledger
        self.store = MemoryStore()

    def make(self, partition: str, prompt: str | None = None, **fields: Any) -> bytes:
        """Store a video of a prompt; return its bytes, which are not a real mp4."""
        content = partition.encode() * 300
        sums = {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        request = REQUEST | {"prompt": prompt or partition}
        order = self.orders.make(State.STORED, partition, request=request, artifacts=sums, **fields)
        self.store.objects[str(order.video_key)] = content
        return content

    def judge(self, verdict: Verdict, *partitions: str) -> None:
        self.ledger.verdicts.give("spots", dict.fromkeys(partitions, Judgement(verdict)), reviewer="ann")

    def accepted(self, *partitions: str, **fields: Any) -> None:
        """Store and accept videos."""
        for partition in partitions:
            self.make(partition, **fields)
        self.judge(Verdict.ACCEPTED, *partitions)

    def export(
        self,
        place: Path | str,
        form: Format = Format.VIDEOFOLDER,
        splits: str = DEFAULT_SPLITS,
        caption: str = "",
        **options: Any,
    ) -> Exported:
        shares = Splits.parse(splits)
        selection = select_accepted(self.ledger, self.store, "spots", shares, caption=caption)
        destination = open_destination(str(place), self.store)
        return export(plan_export(selection, form, **options), destination)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of the files under a folder by path, without the inventory."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".seedance-dataset.json"
    }

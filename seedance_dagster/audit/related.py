"""Orders that can only be judged together, because they share a partition or a request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime

from seedance_dagster.audit.sources import partition_key
from seedance_dagster.ledger.order import OPEN
from seedance_dagster.ledger.repairs import OrderOutline


class RelatedOrders:
    """The orders of a ledger by what they share, without the orders themselves.

    Attributes:
        owned_tasks: The tasks of all orders.
    """

    def __init__(self) -> None:
        self.owned_tasks: set[str] = set()
        self._parents: dict[int, int] = {}
        # Keyed by hash, which takes a third of the memory; a collision only keeps more orders together.
        self._first_with: dict[int, int] = {}
        self._apart: set[int] = set()

    def add(self, outlines: Iterable[OrderOutline], *, busy_since: datetime) -> None:
        """Add orders; those that are open, or that changed since a time, are kept apart."""
        for order in outlines:
            self._parents.setdefault(order.order_id, order.order_id)
            self._join(partition_key(order.prompt_set, order.partition), order.order_id)
            self._join((order.fingerprint, order.take), order.order_id)
            if order.linked_set is not None and order.linked_partition is not None:
                self._join(partition_key(order.linked_set, order.linked_partition), order.order_id)
            if order.task_id is not None:
                self.owned_tasks.add(order.task_id)
                self._join(order.task_id, order.order_id)
            if order.state in OPEN or order.at >= busy_since:
                self._apart.add(order.order_id)

    def add_events(self, reported: Iterable[tuple[str, str]]) -> None:
        """Keep orders apart whose video was reported at a partition that they share nothing with.

        Args:
            reported: Keys of partitions, and the tasks that were reported there.
        """
        for partition, task_id in reported:
            shown, owner = (self._first_with.get(hash(key)) for key in (partition, task_id))
            if owner is not None and (shown is None or self._root(shown) != self._root(owner)):
                self._apart |= {owner} if shown is None else {owner, shown}

    def sort(self) -> tuple[list[list[int]], list[int]]:
        """Return the lists of orders that are judged together, and the orders that are kept apart."""
        apart = {self._root(order_id) for order_id in self._apart}
        together: defaultdict[int, list[int]] = defaultdict(list)
        for order_id in self._parents:
            together[self._root(order_id)].append(order_id)
        kept = [order_id for root in apart for order_id in together.pop(root)]
        return list(together.values()), sorted(kept)

    def _join(self, key: Hashable, order_id: int) -> None:
        first = self._root(self._first_with.setdefault(hash(key), order_id))
        # The lowest number is the root, so that orders stay in the order of their numbers.
        low, high = sorted((first, self._root(order_id)))
        self._parents[high] = low

    def _root(self, order_id: int) -> int:
        parents = self._parents
        while (parent := parents[order_id]) != order_id:
            parents[order_id] = order_id = parents[parent]
        return order_id


def in_groups(lists: Iterable[list[int]], size: int) -> Iterator[list[list[int]]]:
    """Yield lists in groups of at most `size` numbers together; a longer list is a group of its own."""
    group: list[list[int]] = []
    count = 0
    for numbers in lists:
        if group and count + len(numbers) > size:
            yield group
            group, count = [], 0
        group.append(numbers)
        count += len(numbers)
    if group:
        yield group

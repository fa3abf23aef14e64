"""The numbers of attempts, which continue after the highest one anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.ledger.order import Order, State
from seedance_dagster.restore.ordered import FORGOTTEN, PromptTake, order_columns
from seedance_dagster.restore.plan import PlannedOrder
from seedance_dagster.restore.remains import Remains, TaskRemains


class Attempts:
    """The attempts at each take of a request that have a row, or will have one."""

    def __init__(self, rows: Iterable[Order]) -> None:
        self._rows = {(row.fingerprint, row.take, row.attempt): row for row in rows}
        self._taken: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
        for fingerprint, take, attempt in self._rows:
            self._taken[fingerprint, take].add(attempt)

    def row(self, columns: Mapping[str, Any]) -> Order | None:
        """Return the ledger's row of an attempt; None where it has none."""
        return self._rows.get((columns["fingerprint"], columns["take"], columns["attempt"]))

    def reserve(self, columns: Mapping[str, Any]) -> bool:
        """Reserve the number of an attempt; return False where it is taken."""
        taken, attempt = self._taken[columns["fingerprint"], columns["take"]], columns["attempt"]
        if attempt in taken:
            return False
        taken.add(attempt)
        return True

    def next(self, fingerprint: str, take: int) -> int:
        """Return the number after the highest one of a take."""
        return 1 + max(self._taken[fingerprint, take], default=0)


def reserved_attempts(
    remains: Remains, prompts: Sequence[PromptTake], attempts: Attempts, catalog: Catalog, now: datetime
) -> Iterator[PlannedOrder]:
    """Yield an order without a video for each attempt that has objects in S3 and is not restored.

    Without it a later order would get the same place in S3. One whose manifest names a task may have been
    paid for, and is paid for again only on request.
    """
    by_partition: defaultdict[tuple[str, str], list[PromptTake]] = defaultdict(list)
    for prompt in prompts:
        by_partition[prompt.prompt_set, prompt.partition].append(prompt)
    tasks = {
        task.manifest.manifest_key.rpartition("/")[0]: task
        for task in remains.tasks
        if task.manifest is not None and task.task is None
    }
    for folder in remains.folders:
        for prompt in by_partition[folder.prompt_set, folder.partition]:
            if not folder.belongs_to(prompt.fingerprint, folder.attempt):
                continue
            unknown = tasks.get(folder.path, TaskRemains(task_id=""))
            columns = order_columns(
                prompt, unknown, attempt=folder.attempt, account=remains.account, catalog=catalog, now=now
            )
            if not attempts.reserve(columns):
                continue
            paid = bool(unknown.task_id)
            ended = {
                "task_id": unknown.task_id or None,
                "points_charged": None if paid else 0,
                "error_class": FORGOTTEN,
                "error_message": "its objects are in S3, and nothing confirms what they are",
                "ended_at": now,
                "due_at": None,
            }
            source = f"the objects in {remains.bucket}{folder.path}"
            yield PlannedOrder(state=State.FAILED, columns=columns | ended, source=source)

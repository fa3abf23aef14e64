"""The request behind a run, which its retries and re-executions share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from seedance_dagster.defs.steps.request import first_request

BACKFILL, ROOT = "dagster/backfill", "dagster/root_backfill_id"


@dataclass
class Instance:
    """The runs of a Dagster instance, each with its tags and the hour at which it was created."""

    runs: dict[str, tuple[dict[str, str], int]] = field(default_factory=dict)

    def get_run_record_by_id(self, run_id: str) -> Any:
        if run_id not in self.runs:
            return None
        tags, hour = self.runs[run_id]
        return SimpleNamespace(dagster_run=SimpleNamespace(tags=tags), create_timestamp=at(hour))

    def get_run_records(self, filters: Any, limit: int, ascending: bool) -> list[Any]:
        assert (limit, ascending) == (1, True)
        return [
            self.get_run_record_by_id(run_id)
            for run_id, (tags, _) in self.runs.items()
            if filters.tags.items() <= tags.items()
        ][:1]


def at(hour: int) -> datetime:
    return datetime(2026, 4, 6, hour, tzinfo=UTC)


RUNS = {
    "single": ({}, 1),
    "retry": ({"dagster/root_run_id": "single"}, 2),
    "part 1": ({BACKFILL: "b1"}, 3),
    "part 2": ({BACKFILL: "b1"}, 4),
    "retried part": ({}, 5),
    "re-executed": ({BACKFILL: "b2", ROOT: "b1"}, 6),
}


@pytest.mark.parametrize(
    ("run", "root", "key", "hour"),
    [
        ("single", None, "single", 1),
        ("retry", "single", "single", 1),
        ("part 2", None, "b1", 3),
        ("retried part", "part 2", "b1", 3),
        ("re-executed", None, "b1", 3),
    ],
    ids=str,
)
def test_retries_and_re_executions_belong_to_the_first_request(run, root, key, hour):
    """Dagster drops or renews the tags of a backfill; the first run of all still has them."""
    request = first_request(Instance(RUNS), SimpleNamespace(run_id=run, root_run_id=root, tags=RUNS[run][0]))
    assert request == (key, at(hour))


def test_a_request_whose_first_run_was_deleted_pays_for_nothing_again():
    """A request whose first run was deleted gets a time before which nothing was stored, and pays nothing."""
    run = SimpleNamespace(run_id="retry", root_run_id="deleted", tags={})
    key, created_at = first_request(Instance(), run)
    assert (key, created_at.year) == ("deleted", 1970)

"""The result of a run in this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class RunResult:
    """The result of a run, and Dagster's records of it."""

    result: dg.ExecuteInProcessResult
    instance: dg.DagsterInstance

    @property
    def success(self) -> bool:
        return self.result.success

    @property
    def failure(self) -> dg.Failure:
        """Its failure, which must have a message: an unexpected error fails the test."""
        [event] = [event for event in self.result.all_events if event.is_step_failure]
        data = event.step_failure_data
        assert data.user_failure_data is not None, data.error
        return dg.Failure(data.user_failure_data.description, data.user_failure_data.metadata)

    @property
    def message(self) -> str:
        """The text of its failure."""
        return str(self.failure.description)

    @property
    def metadata(self) -> Mapping[str, dg.MetadataValue[Any]]:
        """The metadata of its only output."""
        [event] = [event for event in self.result.all_events if event.is_successful_output]
        return event.step_output_data.metadata

    @property
    def missing(self) -> dict[str, str]:
        """The reasons in the table of its failure, by partition."""
        records = self.failure.metadata["missing"].records
        rows = [record.data for record in records]
        return {
            str(row["partition"]): "; ".join(filter(None, map(str, (row["reason"], row["what to do"]))))
            for row in rows
        }

    @property
    def log(self) -> str:
        """The log messages of its steps."""
        return "\n".join(
            entry.user_message
            for entry in self.instance.all_logs(self.result.run_id)
            if not entry.is_dagster_event
        )

    def events_of(self, asset: str) -> list[tuple[str, str]]:
        """Return partition and kind of each event of an asset, in order."""
        return [
            (str(event.partition), event.event_type_value.removeprefix("ASSET_").lower())
            for event in self.result.all_events
            if event.event_type_value in ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION")
            and event.asset_key.path[-1] == asset
        ]

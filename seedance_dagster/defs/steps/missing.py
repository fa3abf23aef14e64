"""The partitions of a run that have no video, and the failure and the warning that name them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from seedance_dagster.counting import counted, part_of
from seedance_dagster.engine.events import Placed
from seedance_dagster.engine.ordering.finals import unasked_finals
from seedance_dagster.health import NoVideoReason
from seedance_dagster.ledger.orders import Outcome
from seedance_dagster.prompts.models import PromptSet

# A failure's text should fit a screen, and an event should not grow without bounds.
_NAMED, _NAME_LENGTH, _REASON_LENGTH, _TABLE_ROWS = 8, 60, 300, 1000


@dataclass
class MissingVideos:
    """The partitions of a run that have no video.

    Attributes:
        reasons: The reasons, by partition.
        without_order: Those that have no order.
        rejected_before: Those that moderation rejected before this run, unchanged since.
        declined: Finals that are not ordered, since their drafts are not accepted.
    """

    reasons: dict[str, NoVideoReason] = field(default_factory=dict)
    without_order: set[str] = field(default_factory=set)
    rejected_before: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)

    def add(self, reasons: Mapping[str, str], advice: str = "") -> None:
        """Add partitions that have no order, with one piece of advice for all of them."""
        self.reasons |= {key: NoVideoReason(reason, advice) for key, reason in reasons.items()}
        self.without_order.update(reasons)

    def not_asked_for(self, prompt_set: PromptSet, keys: Collection[str], placed: Iterable[Placed]) -> None:
        """Add partitions that a set does not ask for: those of finals, and those whose prompts are gone.

        Args:
            prompt_set: The set.
            keys: The partitions.
            placed: The orders that exist for some of them.
        """
        outcomes = {answer.partition: answer.outcome for answer in placed}
        ended = [key for key in keys if outcomes.get(key, Outcome.SKIPPED) is Outcome.SKIPPED]
        declined = unasked_finals(prompt_set, ended)
        self.decline(declined)
        gone = [key for key in keys if key not in declined and key not in outcomes]
        self.add(
            {key: prompt_set.why_missing(key) for key in gone},
            "correct or add the prompt in its file; a partition that is added in Dagster orders nothing",
        )

    def decline(self, reasons: Mapping[str, str]) -> None:
        """Add finals that are not ordered."""
        self.add(reasons, "accept the draft in the gallery, or with `seedance-dagster review accept`")
        self.declined.update(reasons)

    def stored(self, partition: str) -> None:
        """Note that a partition has its video."""
        self.reasons.pop(partition, None)
        self.rejected_before.discard(partition)

    def failure(self, count: int, lack: tuple[str, str], *, strict: bool) -> dg.Failure | None:
        """Return the failure that names the partitions that need a person; None if there are none.

        Args:
            count: The number of partitions that the run was asked for.
            lack: What they lack, for one and for several: "has no video" and "have no video".
            strict: Count prompts that were rejected before and declined finals as well.
        """
        known = set() if strict else self.rejected_before | self.declined
        new = {key: why for key, why in self.reasons.items() if key not in known}
        if not new:
            return None
        lines = [_shorten(f"{key}: {why}", _REASON_LENGTH) for key, why in list(new.items())[:_NAMED]]
        more = len(new) - len(lines)
        lines += [f"and {more} more: see the table"] if more else []
        warning = None if strict else self.warning()
        lines += [warning] if warning else []
        text = "\n".join(lines)
        return dg.Failure(
            f"{part_of(len(new), count, 'prompt', *lack)}; the others are not affected:\n{text}",
            metadata={"missing": _table(list(self.reasons.items())[:_TABLE_ROWS])},
            allow_retries=False,
        )

    def warning(self) -> str | None:
        """Return the sentences on prompts rejected before and declined finals; None if there are none."""
        sentences = []
        if self.rejected_before:
            was = counted(len(self.rejected_before), "prompt was", "prompts were")
            sentences.append(
                f"{was} rejected by moderation before, and not sent again unchanged: "
                f"{_named(self.rejected_before)}. Edit the text, or set resubmit_rejected in a run's config"
            )
        if self.declined:
            was = counted(len(self.declined), "final was", "finals were")
            sentences.append(
                f"{was} not ordered, since no video of what the draft asks for now is accepted: "
                f"{_named(self.declined)}. Accept the draft, and materialize the final again"
            )
        return "\n".join(sentences) or None


def _named(keys: Collection[str]) -> str:
    named = ", ".join(_shorten(key, _NAME_LENGTH) for key in sorted(keys)[:_NAMED])
    return named + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")


def _table(reasons: Iterable[tuple[str, NoVideoReason]]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({"partition": key, "reason": why.reason, "what to do": why.advice})
        for key, why in reasons
    ]
    columns = [dg.TableColumn(name) for name in ("partition", "reason", "what to do")]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."

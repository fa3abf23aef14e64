"""Evidence: what each system says about an order, fact by fact, and which of them agree.

Two systems that agree, while no other two agree on something else, are evidence. S3 is one system, although
both a manifest and the objects beside it speak for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

_LONGEST = 80
CORE = ("task_id", "sha256")
"""The facts that say which task an order is, and which video."""


class Source(StrEnum):
    """A record that says something about an order."""

    LEDGER = "ledger"
    VENDOR = "vendor"
    DAGSTER = "Dagster"
    MANIFEST = "S3 manifest"
    OBJECTS = "S3 objects"

    @property
    def system(self) -> str:
        """The system that the record is in."""
        return self.value.partition(" ")[0]


class NotRepairableError(Exception):
    """A finding was left as it is; the message says why."""


class Evidence(BaseModel):
    """The statements of all systems about one fact; None where one says nothing."""

    model_config = ConfigDict(frozen=True)

    fact: str
    ledger: str | None = None
    vendor: str | None = None
    dagster: str | None = None
    manifest: str | None = None
    objects: str | None = None

    @classmethod
    def of(cls, fact: str, says: Mapping[Source, Any]) -> Evidence:
        """Return the evidence for values of a fact, shortened to what a person can compare."""
        return cls(fact=fact, **{source.name.lower(): _text(value) for source, value in says.items()})

    def __str__(self) -> str:
        """Return one line with the systems that say something."""
        says = {source: getattr(self, source.name.lower()) for source in Source}
        return f"{self.fact}: " + ", ".join(f"{name} {value}" for name, value in says.items() if value)


@dataclass(frozen=True)
class Agreement:
    """A value on which at least two systems agree."""

    value: Any
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class OrderFacts:
    """Everything that the sources say about one order.

    Attributes:
        statements: Values by source and fact, as in JSON; a source that says nothing about a fact lacks it.
        states: The order's state by source; states are shown and never compared.
    """

    statements: Mapping[Source, Mapping[str, Any]]
    states: Mapping[Source, str] = field(default_factory=dict)

    def values(self, fact: str) -> dict[Source, Any]:
        """Return the value of a fact by source, for sources that state it."""
        return {
            source: facts[fact] for source, facts in self.statements.items() if facts.get(fact) is not None
        }

    def agreed(self, fact: str) -> Agreement | None:
        """Return the value that two systems agree on; None where no two do, or two others disagree."""
        groups: list[tuple[Any, list[Source]]] = []
        for source, value in self.values(fact).items():
            for known, sources in groups:
                if known == value:
                    sources.append(source)
                    break
            else:
                groups.append((value, [source]))
        agreeing = [group for group in groups if len({source.system for source in group[1]}) > 1]
        if len(agreeing) != 1:
            return None
        [(value, sources)] = agreeing
        return Agreement(value, tuple(sources))

    def disputed(self) -> set[str]:
        """Return the facts on which some sources disagree with the ledger."""
        ledger = self.statements.get(Source.LEDGER, {})
        return {
            fact
            for facts in self.statements.values()
            for fact, value in facts.items()
            if value is not None and ledger.get(fact) not in (None, value)
        }

    def without(self, source: Source) -> OrderFacts:
        """Return the facts without those of one source."""
        return replace(
            self, statements={name: facts for name, facts in self.statements.items() if name is not source}
        )

    def evidence(self, facts: Iterable[str]) -> tuple[Evidence, ...]:
        """Return the evidence for some facts."""
        return tuple(
            Evidence.of(fact, self.states if fact == "state" else self.values(fact)) for fact in facts
        )

    def vouch_for_ledger(self, facts: Iterable[str] = CORE) -> str:
        """Return a text that names the systems that confirm the ledger.

        Args:
            facts: The facts to confirm, besides those that any source disputes.

        Raises:
            NotRepairableError: On one of the facts, no second system agrees with the ledger, or two others
                agree on another value.
        """
        confirmed: defaultdict[Source, list[str]] = defaultdict(list)
        doubtful = []
        for fact in sorted({*facts} | self.disputed()):
            agreement = self.agreed(fact)
            if agreement is None or Source.LEDGER not in agreement.sources:
                doubtful.append(fact)
                continue
            partner = next(source for source in agreement.sources if source.system != Source.LEDGER.system)
            confirmed[partner].append(fact)
        if doubtful:
            names = ", ".join(doubtful)
            raise NotRepairableError(f"no second system confirms the ledger on {names}: see the evidence")
        return "; ".join(
            f"ledger and {partner} agree on {', '.join(names)}" for partner, names in confirmed.items()
        )


def facts_of(evidence: Iterable[Evidence]) -> OrderFacts:
    """Return evidence as facts that can be weighed."""
    lines = list(evidence)
    return OrderFacts(
        {
            source: {line.fact: value for line in lines if (value := getattr(line, source.name.lower()))}
            for source in Source
        }
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."

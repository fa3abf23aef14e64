"""A Dagster instance's memory of ledgers and prompt sets, as keys of a partitions definition.

Such keys are public, shared by all machines of the instance, and kept by every storage that Dagster has:

    set:<set>:<ledger id>                                the ledger that orders for a set
    ledger:<ledger id>:<entry>:<digest>:<database>       how far that ledger had come, and where it was
    source:<set>:<code location>:<place of the files>    where the prompts of a set are read
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import dagster as dg
from sqlalchemy.exc import IntegrityError

from seedance_dagster.ledger.position import Position

MEMORY = "seedance_memory"
"""The name of the partitions definition; no asset has it."""


@dataclass(frozen=True)
class KnownLedger:
    """A ledger as an instance remembers it.

    Attributes:
        ledger_id: Its id.
        position: An entry of its journal that it must have; None while it had no orders.
        label: The URL of its database, without the password.
    """

    ledger_id: str
    position: Position | None
    label: str

    @property
    def key(self) -> str:
        """The key by which an instance remembers this."""
        entry, digest = (self.position.entry_id, self.position.digest) if self.position else (0, "")
        return _key("ledger", self.ledger_id, str(entry), digest, self.label)


@dataclass(frozen=True)
class SetSource:
    """The origin of a prompt set.

    Attributes:
        code_location: The name of Dagster's code location; empty where it is unknown, as in a command.
        place: The folder, file or s3:// location of the prompts.
    """

    code_location: str
    place: str

    def __str__(self) -> str:
        return f"{self.place} (code location {self.code_location})" if self.code_location else self.place

    def is_same(self, other: SetSource) -> bool:
        """Return True if the code locations are the same, or, where one is unknown, the places."""
        if self.code_location and other.code_location:
            return self.code_location == other.code_location
        return self.place == other.place


@dataclass
class Memory:
    """All that an instance remembers.

    Attributes:
        ledgers: Ledgers by id, each with the furthest position known.
        ledger_ids: The ledgers that order for each set; more than one only if two were first at once.
        sources: The sources of each set; more than one only if two were first at once.
    """

    ledgers: dict[str, KnownLedger] = field(default_factory=dict)
    ledger_ids: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    sources: defaultdict[str, list[SetSource]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> Memory:
        """Read what an instance remembers."""
        memory = cls()
        for key in instance.get_dynamic_partitions(MEMORY):
            match [unquote(part) for part in key.split(":")]:
                case ["set", name, ledger_id]:
                    memory.ledger_ids[name].append(ledger_id)
                case ["source", name, code_location, place]:
                    memory.sources[name].append(SetSource(code_location, place))
                case ["ledger", ledger_id, entry, digest, label] if entry.isdecimal():
                    position = Position(int(entry), digest) if digest else None
                    memory._note(KnownLedger(ledger_id, position, label))
        return memory

    def never_ordered(self, ledger_id: str) -> bool:
        """Return True for a ledger that a new instance met empty, such as one in a lost one's place."""
        return ledger_id in self.ledgers and self.ledgers[ledger_id].position is None

    def _note(self, known: KnownLedger) -> None:
        before = self.ledgers.get(known.ledger_id)
        if before is None or _entry(known) >= _entry(before):
            self.ledgers[known.ledger_id] = known


def set_key(prompt_set: str, ledger_id: str) -> str:
    """Return the key that says which ledger orders for a set."""
    return _key("set", prompt_set, ledger_id)


def source_key(prompt_set: str, source: SetSource) -> str:
    """Return the key that says where a set is read."""
    return _key("source", prompt_set, source.code_location, source.place)


def add_keys(instance: dg.DagsterInstance, keys: Collection[str]) -> None:
    """Remember some keys; another process may add the same ones at the same moment."""
    try:
        instance.add_dynamic_partitions(MEMORY, list(keys))
    except IntegrityError:
        instance.add_dynamic_partitions(MEMORY, list(keys))


def delete_keys(instance: dg.DagsterInstance, keys: Iterable[str]) -> None:
    """Forget some keys."""
    for key in keys:
        instance.delete_dynamic_partition(MEMORY, key)


def remember_ledger(instance: dg.DagsterInstance, known: KnownLedger) -> None:
    """Remember how far a ledger has come, and forget its earlier positions."""
    keys = _ledger_keys(instance, known.ledger_id)
    if known.key in keys:
        del keys[known.key]
    else:
        add_keys(instance, [known.key])
    delete_keys(instance, (key for key, entry in keys.items() if entry <= _entry(known)))


def replace_ledger(instance: dg.DagsterInstance, known: KnownLedger) -> None:
    """Remember a ledger as it is now, even if it is behind the remembered position."""
    keys = _ledger_keys(instance, known.ledger_id)
    add_keys(instance, [known.key])
    delete_keys(instance, keys.keys() - {known.key})


def _ledger_keys(instance: dg.DagsterInstance, ledger_id: str) -> dict[str, int]:
    """Return the keys that say how far a ledger has come, each with its entry."""
    start = f"{_key('ledger', ledger_id)}:"
    keys = [key for key in instance.get_dynamic_partitions(MEMORY) if key.startswith(start)]
    return {key: int(key.removeprefix(start).partition(":")[0]) for key in keys}


def _entry(known: KnownLedger) -> int:
    return known.position.entry_id if known.position else 0


def _key(*parts: str) -> str:
    return ":".join(quote(part, safe="/@") for part in parts)

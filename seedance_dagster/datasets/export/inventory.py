"""The inventory of a dataset: which files an export wrote, so that no others are touched."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from seedance_dagster.datasets.export.destination import Destination
from seedance_dagster.datasets.export.errors import ExportError

INVENTORY = ".seedance-dataset.json"


class WrittenFile(BaseModel):
    """A file that an export wrote.

    Attributes:
        made_from: A hash of what it was made from.
        sha256: Of its bytes, in hex; None while it is being written.
    """

    model_config = ConfigDict(extra="forbid")

    made_from: str
    sha256: str | None


class Inventory(BaseModel):
    """The files of a dataset by path, and its identity; `version` is None while it is being written."""

    model_config = ConfigDict(extra="forbid")

    prompt_set: str
    ledger_id: str
    format: str
    version: str | None = None
    files: dict[str, WrittenFile] = {}

    def dump(self) -> bytes:
        """Return it as JSON."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def read_inventory(destination: Destination) -> Inventory | None:
    """Return the inventory at a destination; None if the destination is empty.

    Raises:
        ExportError: It holds files, and no readable inventory.
    """
    content = destination.read(INVENTORY)
    if content is None:
        if not destination.is_empty():
            raise ExportError(
                f"{destination} holds files that no export wrote; choose an empty or a new place"
            )
        return None
    try:
        return Inventory.model_validate_json(content)
    except ValidationError:
        raise ExportError(
            f"{destination}: {INVENTORY} cannot be read; choose an empty or a new place"
        ) from None

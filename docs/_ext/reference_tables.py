"""Tables of the reference, made from the code that they describe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from seedance_dagster.datasets.export.clips import COLUMNS as DATASET_COLUMNS
from seedance_dagster.defs.video_checks import CHECKS
from seedance_dagster.emulator.fault_table import FAULTS
from seedance_dagster.settings import Settings
from seedance_dagster.storage.index import COLUMNS
from seedance_dagster.storage.manifest import Manifest


class Table(NamedTuple):
    """A table's head and its rows, in Markdown."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def settings() -> Table:
    """Return every environment variable with its meaning and default."""
    rows = [
        (f"`{name}`", field.description or "", _default(field))
        for name, field in sorted(environment_variables().items())
    ]
    return Table(("variable", "meaning", "default"), rows)


def environment_variables() -> dict[str, FieldInfo]:
    """Return the options by the variables that set them."""
    return {str(field.validation_alias): field for field in Settings.model_fields.values()}


def fields(model: str) -> Table:
    """Return the fields of a model, a resource or a config, named as `module.Class`."""
    module, _, name = model.rpartition(".")
    found: type[BaseModel] = getattr(import_module(module), name)
    rows = [
        (f"`{name}`", field.description or "", _default(field)) for name, field in found.model_fields.items()
    ]
    return Table(("field", "meaning", "default"), rows)


def checks() -> Table:
    """Return every check on the videos of a set."""
    rows = [
        (f"`{name}`", check.description, "warning" if check.warns else "error")
        for name, check in CHECKS.items()
    ]
    return Table(("check", "passes when", "otherwise"), rows)


def columns() -> Table:
    """Return the columns of an index."""
    rows = [(f"`{column.name}`", column.type, column.description) for column in COLUMNS]
    return Table(("column", "type", "what it holds"), rows)


def dataset_columns() -> Table:
    """Return the columns of an exported dataset."""
    rows = [(f"`{column.name}`", column.type, column.description) for column in DATASET_COLUMNS]
    return Table(("column", "type", "what it holds"), rows)


def manifest() -> Table:
    """Return the fields of a manifest."""
    properties: dict[str, dict[str, Any]] = Manifest.model_json_schema(mode="serialization")["properties"]
    rows = [
        (f"`{name}`", _type(schema), schema.get("description", "")) for name, schema in properties.items()
    ]
    return Table(("field", "type", "meaning"), rows)


def faults() -> Table:
    """Return every fault of the emulator."""
    rows = [(f"`{fault.name}`", fault.stage, fault.summary) for fault in FAULTS.values()]
    return Table(("fault", "stage", "what happens"), rows)


TABLES: dict[str, Callable[[], Table]] = {
    "settings": settings,
    "checks": checks,
    "columns": columns,
    "dataset_columns": dataset_columns,
    "manifest": manifest,
    "faults": faults,
}


class ReferenceTable(SphinxDirective):
    """A table by its name in `TABLES`, or `fields` with the path of a model."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table's nodes."""
        name, *rest = self.arguments
        table = fields(*rest) if name == "fields" else TABLES[name]()
        return self.parse_text_to_nodes(table.markdown())


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("reference-table", ReferenceTable)
    return {"parallel_read_safe": True}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if value is None or value in ("", [], {}):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("type", "any"))

"""The file that SEEDANCE_PRICES names: a team's own prices, and the task types that it adds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.errors import UnknownPriceError
from seedance_dagster.api.limits import TaskType
from seedance_dagster.api.prices import PriceRow
from seedance_dagster.prompts.formats.yaml_text import parse_yaml
from seedance_dagster.prompts.price_rows import Report, read_rows
from seedance_dagster.prompts.problems import Problem, UnreadableError, format_problems, kind_of, shown

_FIELDS = ("prices", "types")
_MAX_BYTES = 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,59}")
_LIMITS = {
    "min_duration_s": "whole seconds from 1",
    "max_duration_s": "whole seconds, at least min_duration_s",
    "duration_step_s": "whole seconds from 1",
    "aspect_ratios": 'a list of ratios such as "16:9"',
    "resolutions": "a list of words such as 720p",
    "default_resolution": "one of its resolutions",
    "max_references": "whole numbers from 0",
    "max_of_kind": "whole numbers for image, video and audio",
}


class PriceFileError(UnknownPriceError):
    """A file of SEEDANCE_PRICES that cannot be used, so that no price is certain.

    Attributes:
        problems: All problems of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "no price is certain, since the file that SEEDANCE_PRICES names cannot be used:\n"
            + format_problems(self.problems)
        )


def load_catalog(path: str = "") -> Catalog:
    """Return the packaged catalog, with a team's file on top if there is one.

    Raises:
        PriceFileError: The file has problems; the error lists them all.
    """
    if not path:
        return Catalog.load()
    try:
        text = _text(Path(path))
    except UnreadableError as error:
        raise PriceFileError([Problem(source=path, message=str(error))]) from None
    return _catalog_of(path, text)


@lru_cache(maxsize=4)
def _catalog_of(path: str, text: str) -> Catalog:
    """Return the catalog with a team's file on top, the same one for the same text."""
    packaged = Catalog.load()
    problems: list[Problem] = []

    def report(field: str | None, message: str, place: str | None = None) -> None:
        problems.append(Problem(source=path, prompt=place, field=field, message=message))

    types: dict[str, TaskType] = {}
    rows: list[PriceRow] = []
    try:
        document = parse_yaml(text)
        parts = _parts(document, report)
        types = _types(parts.get("types") or {}, packaged.limits.types, report)
        known = {**packaged.limits.types, **types}
        rows = read_rows(parts.get("prices") or [], known, Path(path).name, report)
    except UnreadableError as error:
        report(None, str(error))
    except RecursionError:
        report(None, "is nested too deeply")
    if not problems:
        _check_complete(types, rows, packaged, report)
    if problems:
        raise PriceFileError(problems)
    return packaged.extended(types, rows)


def usable_catalog(path: str) -> tuple[Catalog, list[Problem]]:
    """Return a catalog to check prompts by, even where a team's file has problems; and those problems."""
    try:
        return load_catalog(path), []
    except PriceFileError as error:
        return Catalog.load(), list(error.problems)


def _text(path: Path) -> str:
    try:
        if path.is_dir():
            raise UnreadableError("is a folder; allowed is a YAML file")
        if path.stat().st_size > _MAX_BYTES:
            raise UnreadableError(f"is larger than {_MAX_BYTES} bytes")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text (byte {error.start})") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _parts(document: Any, report: Report) -> dict[str, Any]:
    """Return the parts of the file that have the right form."""
    if not isinstance(document, Mapping):
        raise UnreadableError(f"must be a mapping with {' and '.join(_FIELDS)}, not {kind_of(document)}")
    for name in document:
        if name not in _FIELDS:
            report(str(name), f"is not a part of a price file; parts are {' and '.join(_FIELDS)}")
    parts = {name: document[name] for name in _FIELDS if document.get(name) is not None}
    for name, form, words in (("prices", list, "a list of rows"), ("types", Mapping, "a mapping of names")):
        if name in parts and not isinstance(parts[name], form):
            report(name, f"must be {words}, not {kind_of(parts.pop(name))}")
    if not document:
        report("prices", "is missing; without a row the file changes nothing")
    return parts


def _types(
    entries: Mapping[Any, Any], packaged: Mapping[str, TaskType], report: Report
) -> dict[str, TaskType]:
    types = {}
    for name, entry in entries.items():
        place = f"types.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            report(place, "is not a name; allowed are lower-case letters, digits, '.', '-' and '_'")
        elif not isinstance(entry, Mapping):
            report(place, f"must be a mapping, such as {{like: seedance-2}}, not {kind_of(entry)}")
        else:
            limits = _type(name, entry, packaged, report)
            if limits is not None:
                types[name] = limits
    return types


def _type(
    name: str, entry: Mapping[Any, Any], packaged: Mapping[str, TaskType], report: Report
) -> TaskType | None:
    """Return the limits of one type: those of the type that `like` names, with its own changes."""
    like = entry.get("like", name)
    unknown = [field for field in entry if field not in ("like", *_LIMITS)]
    for field in unknown:
        report(f"types.{name}.{field}", f"is not a field; fields are like, {', '.join(_LIMITS)}")
    base = packaged.get(like) if isinstance(like, str) else None
    if base is None:
        report(f"types.{name}.like", f"is {shown(entry.get('like'))}; allowed are {', '.join(packaged)}")
    if unknown or base is None:
        return None
    own = {field: value for field, value in entry.items() if field != "like"}
    try:
        limits = TaskType.model_validate({**base.model_dump(), **own})
    except ValidationError as error:
        for field in dict.fromkeys(str(item["loc"][0]) for item in error.errors()):
            report(f"types.{name}.{field}", f"is {shown(own.get(field))}; allowed are {_LIMITS[field]}")
        return None
    if limits.default_resolution not in limits.resolutions:
        words = f"is {limits.default_resolution!r}; allowed are {', '.join(limits.resolutions)}"
        report(f"types.{name}.default_resolution", words)
    if not limits.durations:
        report(f"types.{name}.max_duration_s", f"is less than min_duration_s ({limits.min_duration_s})")
    return limits


def _check_complete(
    types: Mapping[str, TaskType], rows: Iterable[PriceRow], packaged: Catalog, report: Report
) -> None:
    """Report types that could not be ordered, and promotions without a list price to reserve by."""
    catalog = packaged.extended(types, rows)
    for name in types:
        if not catalog.resolutions(name):
            report(f"types.{name}", "has no price; add a row to prices")
    for row in rows:
        if row.promotion and not any(
            (price.type, price.resolution, price.promotion) == (row.type, row.resolution, False)
            for price in catalog.prices.rows
        ):
            place = row.table.rpartition(", ")[2]
            report("promotion", "needs a list price of the same type and resolution", place)

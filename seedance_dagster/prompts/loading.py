"""Loading of prompt sets from a file, a folder or S3: valid sets are loaded, all problems reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.prompts.assembly import RawSet, Row, assemble
from seedance_dagster.prompts.documents import read_json, read_yaml
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.price_file import usable_catalog
from seedance_dagster.prompts.problems import Problem, UnreadableError
from seedance_dagster.prompts.slugs import slug_name
from seedance_dagster.prompts.tables import name_tags, read_csv, read_jsonl, read_parquet

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".csv", ".parquet")
_MAX_FILE_BYTES = 100 * 1024 * 1024
_MAX_PROMPTS = 100_000
_TABLES: dict[str, Callable[[str, str], tuple[list[Row], list[Problem]]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
}


@dataclass(frozen=True)
class LoadedPromptSets:
    """The prompt sets of a location.

    Attributes:
        sets: The valid sets, sorted by name.
        problems: The errors of the files that were not loaded, and all warnings.
        catalog: What could be ordered when they were checked.
    """

    sets: tuple[PromptSet, ...]
    problems: tuple[Problem, ...]
    catalog: Catalog = field(default_factory=Catalog.load)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that kept a file from being loaded."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


def load_prompt_sets(
    location: str | Path,
    *,
    prices: str = "",
    s3_client: S3Client | None = None,
) -> LoadedPromptSets:
    """Load all prompt sets of a location; problems are returned, never raised.

    Args:
        location: A file, a folder (its files, not its subfolders'), or `s3://bucket/prefix`.
        prices: The file of prices that win over the packaged ones (SEEDANCE_PRICES). One that cannot be used
            is a problem: the sets are loaded, and nothing can be ordered.
        s3_client: For `s3://`; boto3's default client if None.

    Example:
        >>> load_prompt_sets("nowhere/").problems[0].message
        'does not exist'
    """
    catalog, problems = usable_catalog(prices)
    sets: dict[str, PromptSet] = {}
    try:
        folder = _local_folder(str(location))
        for source, suffix, content in _files(str(location), s3_client):
            prompt_set, file_problems = _load(source, suffix, content, folder=folder, catalog=catalog)
            problems += file_problems
            if prompt_set is None:
                continue
            if prompt_set.name in sets:
                message = (
                    f"is {prompt_set.name!r}, as in {sets[prompt_set.name].source}; names must be unique"
                )
                problems.append(Problem(source=source, field="name", message=message))
                continue
            sets[prompt_set.name] = prompt_set
    except UnreadableError as error:
        problems.append(Problem(source=str(location), message=str(error)))
    return LoadedPromptSets(tuple(sets[name] for name in sorted(sets)), tuple(problems), catalog)


def _load(
    source: str,
    suffix: str,
    content: bytes | UnreadableError,
    *,
    folder: Path | None,
    catalog: Catalog,
) -> tuple[PromptSet | None, list[Problem]]:
    try:
        if isinstance(content, UnreadableError):
            raise content
        raw, problems = _read(source, suffix, content)
        if raw is not None and len(raw.rows) > _MAX_PROMPTS:
            raise UnreadableError(f"contains {len(raw.rows)} prompts; allowed are {_MAX_PROMPTS}")  # noqa: TRY301
        if raw is None:
            return None, problems
        prompt_set, prompt_problems = assemble(replace(raw, folder=folder), catalog=catalog)
    except UnreadableError as error:
        return None, [Problem(source=source, message=str(error))]
    except RecursionError:
        return None, [Problem(source=source, message="is nested too deeply")]
    return (None if problems else prompt_set), [*problems, *prompt_problems]


def _read(source: str, suffix: str, content: bytes) -> tuple[RawSet | None, list[Problem]]:
    problems: list[Problem]
    if suffix == ".parquet":
        rows, problems = read_parquet(content), []
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UnreadableError(f"is not UTF-8 text (byte {error.start})") from None
        if suffix not in _TABLES:
            return (read_json if suffix == ".json" else read_yaml)(text, source)
        rows, problems = _TABLES[suffix](text, source)
    rows, resembling = name_tags(rows, source)
    name = slug_name(PurePosixPath(source).stem)
    return RawSet(name=name, source=source, rows=rows), [*problems, *resembling]


def _files(location: str, s3_client: S3Client | None) -> Iterator[tuple[str, str, bytes | UnreadableError]]:
    if location.startswith("s3://"):
        from seedance_dagster.prompts.s3 import s3_files  # noqa: PLC0415  boto3 is heavy

        yield from s3_files(location, SUFFIXES, _MAX_FILE_BYTES, s3_client)
        return
    path = Path(location)
    try:
        if not path.exists():
            raise UnreadableError("does not exist")
        paths = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    files = [path for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not files:
        raise UnreadableError(f"contains no prompt set; file names end in {', '.join(SUFFIXES)}")
    for file in files:
        yield os.fsencode(file).decode(errors="replace"), file.suffix.lower(), _content(file)


def _local_folder(location: str) -> Path | None:
    """Return the folder of the files of a location, resolved; None for S3."""
    if location.startswith("s3://"):
        return None
    folder = location if os.path.isdir(location) else os.path.dirname(location)  # noqa: PTH112, PTH120  never raise
    return Path(os.path.realpath(folder))


def _content(path: Path) -> bytes | UnreadableError:
    try:
        if not path.is_file():
            return UnreadableError("is not a regular file")
        if path.stat().st_size > _MAX_FILE_BYTES:
            return UnreadableError(f"is larger than {_MAX_FILE_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        return UnreadableError(f"cannot be read: {error.strerror}")

"""Loading of prompt sets from a file, a folder or S3: valid sets are loaded, all problems reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.garbage import without_garbage_collection
from seedance_dagster.prompts.assembly import RawSet, assemble
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.models import PromptSet
from seedance_dagster.prompts.places import NoPromptFileError, PromptFiles, find_prompt_files
from seedance_dagster.prompts.price_file import usable_catalog
from seedance_dagster.prompts.problems import Problem, UnreadableError, summarized
from seedance_dagster.prompts.prompt_file import DOCUMENTS, SETS, PromptFile
from seedance_dagster.prompts.reading import FileContent, read_prompt_file
from seedance_dagster.prompts.slugs import slug_name
from seedance_dagster.prompts.variants import with_variants
from seedance_dagster.prompts.withheld import withheld

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class LoadedFile:
    """A prompt file as it was last read.

    Attributes:
        source: Its path or URI.
        prompt_set: The name of its set; empty if unknown.
        videos: The number of videos that its prompts ask for; None if no prompt of it was loaded.
        problems: Its errors and warnings.
        digest: Changes whenever its content does.
    """

    source: str
    prompt_set: str = ""
    videos: int | None = None
    problems: tuple[Problem, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class LoadedPromptSets:
    """The prompt sets of a location.

    Attributes:
        sets: The valid sets, sorted by name.
        problems: All errors, each of which kept a file or a prompt from being loaded, and all warnings.
        catalog: The catalog that they were checked against.
        unusable: The problems of sets that could not be loaded, by name where the name is known.
        files: The files, and other sources of problems, such as a folder that cannot be read.
        listed: False where the files of the location could not be listed.
    """

    sets: tuple[PromptSet, ...]
    problems: tuple[Problem, ...]
    catalog: Catalog = field(default_factory=Catalog.load)
    unusable: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    files: tuple[LoadedFile, ...] = ()
    listed: bool = True

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that kept a file, or a prompt, from being loaded."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all sets, also of those whose file has errors."""
        return tuple(sorted({prompt_set.name for prompt_set in self.sets} | set(self.unusable)))


@dataclass(frozen=True)
class _Checked:
    """A file as it was last read and checked; read again once something that it depends on has changed."""

    stamp: Hashable
    content: FileContent
    catalog: Catalog
    prompt_set: PromptSet | None
    problems: list[Problem]
    digest: str
    uses_local_files: bool


_last: dict[str, dict[str, _Checked]] = {}
"""The files as this process last read them, by location and file."""


def load_prompt_sets(
    location: str | Path,
    *,
    prices: str = "",
    s3_client: S3Client | None = None,
) -> LoadedPromptSets:
    """Load all prompt sets of a location; problems are returned, never raised.

    A file that has not changed since this process loaded it is not read again.

    Args:
        location: A file, a folder (its files, not its subfolders'), or `s3://bucket/prefix`.
        prices: The file of prices that win over the packaged ones (SEEDANCE_PRICES). If it cannot be used,
            that is a problem: the sets are still loaded, but nothing can be ordered.
        s3_client: For `s3://`; boto3's default client if None.

    Example:
        >>> load_prompt_sets("/nowhere/").problems[0].message
        'does not exist'
    """
    catalog, problems = usable_catalog(prices)
    try:
        files = find_prompt_files(str(location), s3_client)
    except UnreadableError as error:
        problems.append(Problem(source=str(location), message=str(error)))
        listed = isinstance(error, NoPromptFileError)
        return LoadedPromptSets(
            (), tuple(problems), catalog, files=tuple(_other_files(problems)), listed=listed
        )
    key = f"{location} {files.folder}"
    with without_garbage_collection():
        checked = _check(files, catalog, _last.get(key, {}))
    _last[key] = checked
    problems += files.problems
    other_files = tuple(_other_files(problems))
    sets, ambiguous = by_unique_name(file.prompt_set for file in checked.values() if file.prompt_set)
    unusable: dict[str, Sequence[Problem]] = dict(ambiguous)
    loaded = []
    for source, file in checked.items():
        name = file.content.name if file.prompt_set is None else file.prompt_set.name
        own = [*file.problems, *(problem for problem in ambiguous.get(name, ()) if problem.source == source)]
        usable = sets.get(name) if file.prompt_set is not None else None
        if usable is None:
            unusable.setdefault(name, own)
        problems += own
        videos = None if usable is None else len(usable.partitions)
        loaded.append(LoadedFile(source, name, videos, tuple(own), file.digest))
    return LoadedPromptSets(
        tuple(sets[name] for name in sorted(sets)),
        tuple(problems),
        catalog,
        {name: reasons for name, reasons in unusable.items() if name and name not in sets},
        (*loaded, *other_files),
    )


def by_unique_name(
    prompt_sets: Iterable[PromptSet],
) -> tuple[dict[str, PromptSet], dict[str, list[Problem]]]:
    """Return the sets whose name no other has, and an error for each of the others; both by name.

    None of several sets with one name is used: an old copy of a file might stand in for the edited one.
    A set that was read twice, by a folder and by its file, is one set.
    """
    groups: dict[str, list[PromptSet]] = {}
    for prompt_set in prompt_sets:
        group = groups.setdefault(prompt_set.name, [])
        if prompt_set not in group:
            group.append(prompt_set)
    sets = {name: group[0] for name, group in groups.items() if len(group) == 1}
    return sets, {name: _name_problems(group) for name, group in groups.items() if len(group) > 1}


def _name_problems(group: Sequence[PromptSet]) -> list[Problem]:
    problems = []
    for prompt_set in group:
        others = ", ".join(other.source for other in group if other is not prompt_set)
        message = (
            f"is {prompt_set.name!r}, as in {others}; names must be unique: rename or remove all but one"
        )
        problems.append(Problem(source=prompt_set.source, field="name", message=message))
    return problems


def _other_files(problems: Sequence[Problem]) -> Iterator[LoadedFile]:
    """Yield the sources of problems that are not sets: a price file, a folder, a skipped file."""
    for source in dict.fromkeys(problem.source for problem in problems):
        yield LoadedFile(source, problems=tuple(problem for problem in problems if problem.source == source))


def _check(files: PromptFiles, catalog: Catalog, last: dict[str, _Checked]) -> dict[str, _Checked]:
    """Return the checked files in their order, without the tables that a set names, or may name."""
    documents = {
        file.source: _check_file(file, files, catalog, last.get(file.source))
        for file in files.files
        if file.suffix in DOCUMENTS
    }
    tables = {document.content.table for document in documents.values()}
    table_sources = {
        _source_beside(files, name) for name in tables if name and not name.lower().endswith(SETS)
    }
    unreadable = {
        source: document.content for source, document in documents.items() if document.content.raw is None
    }
    checked, names = {}, {PurePosixPath(file.source).name for file in files.files}
    for file in files.files:
        if file.source in table_sources:
            continue
        problem = (
            None
            if file.suffix in SETS or file.source in unreadable
            else withheld(file.source, unreadable, names)
        )
        if problem is not None:
            checked[file.source] = _refused(file, problem, catalog)
        elif file.source in documents:
            checked[file.source] = documents[file.source]
        else:
            checked[file.source] = _check_file(file, files, catalog, last.get(file.source))
    return checked


def _refused(file: PromptFile, problem: Problem, catalog: Catalog) -> _Checked:
    content = FileContent(None, [problem], None, slug_name(PurePosixPath(file.source).stem))
    return _Checked(None, content, catalog, None, [problem], digest="", uses_local_files=False)


def _source_beside(files: PromptFiles, name: str) -> str:
    try:
        return files.beside(name).source
    except UnreadableError:
        return ""


def _check_file(file: PromptFile, files: PromptFiles, catalog: Catalog, last: _Checked | None) -> _Checked:
    stamp = None if last is None else _stamp(file, files, last.content)
    if last is not None and stamp is not None and stamp == last.stamp:
        if last.catalog is catalog and not last.uses_local_files:
            return last
        content, digest = last.content, last.digest
    else:
        hashed = hashlib.sha256()
        content = read_prompt_file(
            _hashing(file, hashed.update), lambda name: _hashing(files.beside(name), hashed.update)
        )
        stamp = _stamp(file, files, content)
        digest = hashed.hexdigest()
    prompt_set, problems = None, content.problems
    if content.raw is not None:
        try:
            raw = with_variants(replace(content.raw, folder=files.folder))
            prompt_set, problems = assemble(raw, catalog=catalog)
        except RecursionError:
            problems = [Problem(source=file.source, message="is nested too deeply")]
    return _Checked(
        stamp,
        content,
        catalog,
        prompt_set,
        summarized(problems, file.source),
        digest,
        _uses_local_files(content.raw),
    )


def _hashing(file: PromptFile, update: Callable[[bytes], None]) -> PromptFile:
    """Return a file that passes its bytes to `update` when read: its parsed content may be endless."""

    def read() -> bytes:
        content = file.read()
        update(content)
        return content

    return replace(file, read=read)


def _stamp(file: PromptFile, files: PromptFiles, content: FileContent) -> Hashable | None:
    """Return a stamp that changes with a file and the table that it names; None if unknown."""
    if file.stamp is None or not content.table:
        return file.stamp
    try:
        table = files.beside(content.table).stamp
    except UnreadableError:
        return None
    return None if table is None else (file.stamp, table)


def _uses_local_files(raw: RawSet | None) -> bool:
    """Return True for a set that refers to local files, which may change while its own file does not."""
    if raw is None:
        return False
    return any(
        isinstance(url, str) and (reference := FileReference.parse(url)) is not None and not reference.in_s3
        for fields in (raw.defaults, *(row.fields for row in raw.rows))
        for kind in REFERENCE_KINDS
        for url in _as_list(fields.get(f"{kind}_urls"))
    )


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []

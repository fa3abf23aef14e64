"""The source of prompt sets: files that are read at each use, or sets made in Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.defs.from_asset import PromptsFromAsset
from seedance_dagster.prompts.loading import LoadedPromptSets, by_unique_name, load_prompt_sets
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.price_file import usable_catalog
from seedance_dagster.prompts.problems import Problem, PromptSetError
from seedance_dagster.prompts.prompt_file import SUFFIXES
from seedance_dagster.prompts.remembered import RememberedNames
from seedance_dagster.prompts.rules import check_request
from seedance_dagster.prompts.slugs import full_name, key_prefix_problem
from seedance_dagster.storage.keys import prompt_table_key

if TYPE_CHECKING:
    from seedance_dagster.scores.plan import ScorePlan
    from seedance_dagster.scores.score import Score
    from seedance_dagster.storage.s3 import VideoStore

PYTHON = "Python"
"""The place of sets that were made in Python."""

PromptSets = str | Path | LoadedPromptSets | Sequence[PromptSet]
"""A file, a folder or an s3:// location; or sets that are loaded already."""

Locations = tuple[str | Path, ...]


class PromptSource:
    """The locations of prompt sets, or sets made in Python, and the scores that all of them have.

    Attributes:
        key_prefix: Precedes the name of each set.
        tables: The sets whose prompts other assets make, by full name.
        scores: The scores of the code location; None if they are unknown, as in a command.
    """

    def __init__(
        self,
        prompt_sets: PromptSets,
        *,
        prices: str = "",
        key_prefix: str = "",
        tables: Sequence[PromptsFromAsset] = (),
        remembered: RememberedNames | None = None,
        scores: Sequence[Score] | None = None,
    ) -> None:
        if problem := key_prefix_problem(key_prefix):
            raise ValueError(f"key_prefix {problem}")
        self._prices = prices
        self._remembered = remembered
        self.key_prefix = key_prefix
        self.scores = scores
        self.tables = {full_name(key_prefix, table.name): table for table in tables}
        self._places: dict[str, str] | None = None
        self._derived: dict[tuple[str, str], tuple[PromptSet, PromptSet]] = {}
        self._locations: Locations | None = None
        self._fixed = LoadedPromptSets((), ())
        match prompt_sets:
            case str() | Path():
                self._locations = (prompt_sets,)
            case LoadedPromptSets():
                self._fixed = prompt_sets
            case _:
                self._fixed = _checked(prompt_sets, prices)

    @classmethod
    def at(
        cls,
        locations: Locations,
        *,
        prices: str = "",
        key_prefix: str = "",
        tables: Sequence[PromptsFromAsset] = (),
        remembered: RememberedNames | None = None,
        scores: Sequence[Score] | None = None,
    ) -> Self:
        """Make a source of several files, folders and s3:// locations."""
        source = cls(
            (), prices=prices, key_prefix=key_prefix, tables=tables, remembered=remembered, scores=scores
        )
        source._locations = locations
        return source

    def load(self, store: VideoStore | None = None) -> LoadedPromptSets:
        """Return all sets as they are now; bad content is reported, not raised.

        Args:
            store: The bucket, which holds the prompts that other assets made; without it only the names of
                their sets are known.
        """
        places, parts = [PYTHON], [self._fixed]
        if self._locations is not None:
            places = list(map(place_of, self._locations))
            parts = list(map(self._load, self._locations))
        for name, table in self.tables.items():
            places.append(table.source)
            parts.append(self._load_table(name, table, store))
        parts = list(map(self._with_full_names, parts))
        loaded = _merged(parts)
        usable = {prompt_set.name for prompt_set in loaded.sets}
        self._places = {
            prompt_set.name: place
            for place, part in zip(places, parts, strict=True)
            for prompt_set in part.sets
            if prompt_set.name in usable
        } | {name: table.source for name, table in self.tables.items()}
        if not (self.scores or any(prompt_set.scores or prompt_set.accept for prompt_set in loaded.sets)):
            return loaded
        from seedance_dagster.scores.checked import with_checked_scores  # noqa: PLC0415  only where there are

        return with_checked_scores(loaded, self.scores)

    def plans(self, sets: Iterable[PromptSet]) -> dict[str, ScorePlan]:
        """Return the score plans of some sets, by name; sets without scores are left out."""
        scored = [prompt_set for prompt_set in sets if self.scores or prompt_set.scores or prompt_set.accept]
        if not scored:
            return {}
        from seedance_dagster.scores.checked import plans_of  # noqa: PLC0415  only where there are

        return plans_of(scored, self.scores or ())

    def _load(self, location: str | Path) -> LoadedPromptSets:
        loaded = load_prompt_sets(location, prices=self._prices)
        return loaded if self._remembered is None else self._remembered.complete(location, loaded)

    def _load_table(self, name: str, table: PromptsFromAsset, store: VideoStore | None) -> LoadedPromptSets:
        """Return the set that another asset made, as it was read last."""
        if store is None:
            return LoadedPromptSets((), (), unusable={table.name: ()})
        uri = store.uri(prompt_table_key(store.prefix, name))
        loaded = load_prompt_sets(uri, prices=self._prices, s3_client=store.client)
        problems = {problem: _problem_of(table, uri, problem) for problem in loaded.problems}
        sets = tuple(
            self._replaced(
                prompt_set,
                source=table.source,
                left_out={
                    key: reason.replace(f"{uri}, prompt ", f"{table.source}, row ")
                    for key, reason in prompt_set.left_out.items()
                },
                unread=prompt_set.unread.replace(f"{uri}, prompt ", f"{table.source}, row "),
            )
            for prompt_set in loaded.sets
        )
        files = tuple(
            replace(
                file,
                source=table.source if file.source == uri else file.source,
                prompt_set=table.name if file.source == uri else file.prompt_set,
                problems=tuple(
                    problems.get(problem) or _problem_of(table, uri, problem) for problem in file.problems
                ),
            )
            for file in loaded.files
        )
        unusable = {} if sets else {table.name: tuple(problems.values())}
        return replace(loaded, sets=sets, problems=tuple(problems.values()), files=files, unusable=unusable)

    @property
    def places(self) -> dict[str, str]:
        """The folder of each set when the source was last read: an absolute path, s3://, or Python."""
        if self._places is None:
            self.load()
        return dict(self._places or {})

    def is_own(self, prompt_set: str, place: str) -> bool:
        """Return True if this source would read a set of this name from this place."""
        own = prompt_set == full_name(self.key_prefix, prompt_set.rpartition(".")[2])
        return own and place in {place_of(location) for location in self._locations or ()}

    def _with_full_names(self, loaded: LoadedPromptSets) -> LoadedPromptSets:
        if not self.key_prefix:
            return loaded
        sets = map(self._with_full_name, loaded.sets)
        unusable = {full_name(self.key_prefix, name): errors for name, errors in loaded.unusable.items()}
        files = tuple(
            replace(file, prompt_set=file.prompt_set and full_name(self.key_prefix, file.prompt_set))
            for file in loaded.files
        )
        return replace(loaded, sets=tuple(sets), unusable=unusable, files=files)

    def _with_full_name(self, prompt_set: PromptSet) -> PromptSet:
        return self._replaced(prompt_set, name=full_name(self.key_prefix, prompt_set.name))

    def _replaced(self, prompt_set: PromptSet, **changes: Any) -> PromptSet:
        """Return a changed set, once for each original: fingerprints of thousands of prompts take seconds."""
        key = prompt_set.source, prompt_set.name
        original, derived = self._derived.get(key, (None, prompt_set))
        if original is not prompt_set:
            derived = replace(prompt_set, **changes)
            self._derived[key] = prompt_set, derived
        return derived

    def load_set(self, name: str, store: VideoStore | None = None) -> PromptSet:
        """Return one set as it is now; `store` as in `load`.

        Raises:
            PromptSetError: It is gone or its file has errors; the message lists them.
        """
        loaded = self.load(store)
        for prompt_set in loaded.sets:
            if prompt_set.name == name:
                return prompt_set
        source = ", ".join(map(str, self._locations or (PYTHON,)))
        gone = Problem(source=source, message=f"no longer contains a prompt set {name!r}")
        raise PromptSetError(loaded.unusable.get(name) or loaded.errors or (gone,))


def _merged(parts: Sequence[LoadedPromptSets]) -> LoadedPromptSets:
    """Return the sets of several locations as one; sets with one name are errors."""
    if len(parts) == 1:
        return parts[0]
    sets, ambiguous = by_unique_name(chain.from_iterable(part.sets for part in parts))
    problems = list(dict.fromkeys(problem for part in parts for problem in part.problems))
    problems += chain.from_iterable(ambiguous.values())
    catalogs = [part.catalog for part in parts] or [Catalog.load()]
    unusable = {name: errors for part in parts for name, errors in part.unusable.items() if name not in sets}
    unusable |= ambiguous
    files = {file.source: file for part in parts for file in part.files}
    for problem in chain.from_iterable(ambiguous.values()):
        if file := files.get(problem.source):
            files[problem.source] = replace(file, videos=None, problems=(*file.problems, problem))
    return LoadedPromptSets(
        tuple(sets[name] for name in sorted(sets)),
        tuple(problems),
        catalogs[0],
        unusable,
        tuple(files.values()),
    )


def _problem_of(table: PromptsFromAsset, uri: str, problem: Problem) -> Problem:
    """Return a problem of a stored table as one of the asset's rows, which a person can correct."""
    if problem.source != uri:
        return problem
    message = problem.message
    if problem.prompt is None and message.startswith("contains no prompt set"):
        message = f"made no prompts yet, or they were not read: materialize {table.name}/prompt_table"
    place = problem.prompt and problem.prompt.replace("prompt ", "row ")
    return replace(problem, source=table.source, prompt=place, message=message)


def remembered_names() -> RememberedNames | None:
    """Return the memory of sets' names in Dagster's folder; None if there is no such folder."""
    home = Path(os.environ.get("DAGSTER_HOME", ""))
    if not (home.is_absolute() and home.is_dir()):
        return None
    return RememberedNames(home / "seedance" / "prompt_sets")


def place_of(location: str | Path) -> str:
    """Return the folder of a location, spelled the same in every process that reads it."""
    text = str(location)
    place = text.rstrip("/") if "://" in text else str(Path(text).absolute())
    return place.rpartition("/")[0] if place.endswith(SUFFIXES) else place


def _checked(prompt_sets: Sequence[PromptSet], prices: str) -> LoadedPromptSets:
    """Check sets made in Python by the rules for files; those with errors are left out and reported."""
    catalog, unusable = usable_catalog(prices)
    valid, problems = [], list(unusable)
    for made in prompt_sets:
        prompt_set = replace(made, folder=made.folder and made.folder.resolve())
        before = len(problems)
        checked = tuple(_check(prompt_set, prompt, problems, catalog) for prompt in prompt_set.prompts)
        if not any(problem.severity == "error" for problem in problems[before:]):
            valid.append(replace(prompt_set, prompts=checked))
    return LoadedPromptSets(tuple(valid), tuple(problems), catalog)


def _check(prompt_set: PromptSet, prompt: Prompt, problems: list[Problem], catalog: Catalog) -> Prompt:
    """Return a prompt as it is sent, with the hashes of its local references; append its problems."""

    def report(field: str, message: str, severity: Any = "error") -> None:
        place = f"{prompt_set.source}: {prompt_set.name}"
        problems.append(
            Problem(source=place, prompt=prompt.id, field=field, message=message, severity=severity)
        )

    request = check_request(
        prompt.request.model_dump(mode="json"),
        ratio_given=prompt.request.aspect_ratio is not None,
        catalog=catalog,
        report=report,
        folder=prompt_set.folder,
    )
    return prompt if request is None else replace(prompt, request=request)

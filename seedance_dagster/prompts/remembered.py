"""Remembered names of prompt sets, for files and folders that can no longer be read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.prompts.slugs import NAME_PATTERN

Names = Mapping[str, str]
"""Names of sets by the source of their file."""


@dataclass(frozen=True)
class RememberedNames:
    """The names of sets, kept in a folder that outlives this process.

    A file that cannot be read may not even reveal its set's name. The set keeps its assets under the name
    that it had before. If the folder cannot be used, no names are remembered, and everything else works.

    Attributes:
        folder: The folder of the names, with one file for each location.
    """

    folder: Path
    _known: dict[str, Names] = field(default_factory=dict)

    def complete(self, location: str | Path, loaded: LoadedPromptSets) -> LoadedPromptSets:
        """Return the loaded sets, with names for those that cannot be read; remember the other names."""
        place = str(location) if "://" in str(location) else str(Path(location).absolute())
        before = self._known.get(place)
        if before is None:
            before = self._read(place)
        names = {file.source: file.prompt_set for file in loaded.files if file.prompt_set}
        # The file's own errors, or those of a location that cannot be listed.
        errors = {
            source: [
                problem
                for problem in loaded.errors
                if problem.source == (source if loaded.listed else str(location))
            ]
            for source in before.keys() - names.keys()
        }
        lost = {source: before[source] for source, reasons in errors.items() if reasons}
        if (known := {**lost, **names}) != before:
            self._write(place, known)
        self._known[place] = known
        unusable = {name: errors[source] for source, name in lost.items() if name not in loaded.names}
        return replace(loaded, unusable={**unusable, **loaded.unusable}) if unusable else loaded

    def _file(self, place: str) -> Path:
        return self.folder / f"{hashlib.sha256(place.encode(errors='replace')).hexdigest()[:16]}.json"

    def _read(self, place: str) -> Names:
        try:
            content = json.loads(self._file(place).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        names = content.get("sets") if isinstance(content, dict) else None
        if not isinstance(names, dict):
            return {}
        return {source: name for source, name in names.items() if NAME_PATTERN.fullmatch(str(name))}

    def _write(self, place: str, names: Names) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"location": place, "sets": names}, file, indent=1)
            Path(path).replace(self._file(place))
        except OSError:
            return

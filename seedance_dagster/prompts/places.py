"""Locations of prompt files: a local file or folder, or an s3:// location."""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_dagster.net.s3_locations import LocationError, s3_location
from seedance_dagster.prompts.bounds import MAX_FILE_BYTES, check_size
from seedance_dagster.prompts.problems import Problem, UnreadableError
from seedance_dagster.prompts.prompt_file import SUFFIXES, PromptFile, is_prompt_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OTHER_TABLES = (
    *(".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".gz", ".zip", ".zst", ".toml", ".tab", ".psv"),
    *(".jsonlines", ".jsonc", ".json5", ".pq", ".parq", ".avro", ".orc", ".rtf", ".docx"),
)
_RECENT_NS = 2_000_000_000  # so new a file may change again within one tick of the file system's clock


def _no_objects(_below: str) -> Mapping[str, PromptFile]:
    return {}


@dataclass(frozen=True)
class PromptFiles:
    """The prompt files of a location.

    Attributes:
        files: The files that may be sets, sorted by name.
        problems: The files that were skipped, with the reason.
        folder: Their folder, resolved; None for S3.
        list_s3: Returns the objects in a folder below theirs in S3, by name; "" is theirs.
    """

    files: Sequence[PromptFile]
    problems: Sequence[Problem] = ()
    folder: Path | None = None
    list_s3: Callable[[str], Mapping[str, PromptFile]] = _no_objects

    def beside(self, name: str) -> PromptFile:
        """Return a file by its path relative to the folder; raise `UnreadableError` if it leads out of it."""
        if self.folder is None:
            path_below = posixpath.normpath(name)
            if path_below.startswith(("/", "..")):
                raise UnreadableError("leads out of the prompt file's folder: copy the file into it")
            below, file_name = posixpath.split(path_below)
            file = self.list_s3(below).get(file_name)
            if file is None:
                raise UnreadableError("does not exist beside the prompt file")
            return file
        path = self.folder / name
        if _leaves(path, self.folder):
            raise UnreadableError("leads out of the prompt file's folder: copy the file into it")
        return _local_file(path)


class NoPromptFileError(UnreadableError):
    """A location that was listed and has no prompt file."""


def find_prompt_files(location: str, s3_client: S3Client | None = None) -> PromptFiles:
    """Find the prompt files of a location, without reading them.

    Raises:
        UnreadableError: The location does not exist or cannot be listed.
        NoPromptFileError: It contains no prompt file.
    """
    try:
        in_s3 = s3_location(location)
    except LocationError as error:
        raise UnreadableError(str(error)) from None
    if in_s3 is not None:
        from seedance_dagster.prompts.s3 import s3_files  # noqa: PLC0415  boto3 is heavy

        list_s3 = cache(partial(s3_files, in_s3, s3_client))
        objects = list_s3("")
        single = location.lower().endswith(SUFFIXES)
        candidates = {name: file for name, file in objects.items() if not single or file.source == location}
        files = [file for name, file in candidates.items() if is_prompt_file(name)]
        problems = [
            _unusable(file.source)
            for name, file in candidates.items()
            if name.lower().endswith(_OTHER_TABLES)
        ]
        return PromptFiles(_at_least_one(files), problems, None, list_s3)
    path = Path(location)
    try:
        if not path.exists():
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            hint = "; write the whole path in place of ~" if location.startswith("~") else ""
            raise UnreadableError(f"does not exist{where}{hint}")
        if not path.is_dir():
            usable = [path] if path.suffix.lower() in SUFFIXES else []
            return PromptFiles(_at_least_one(list(map(_local_file, usable))), (), path.resolve().parent)
        entries = sorted(path.iterdir())
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    return _of_folder(path.resolve(), entries)


def _of_folder(folder: Path, entries: Sequence[Path]) -> PromptFiles:
    files, problems = [], []
    for path in entries:
        if path.suffix.lower() in _OTHER_TABLES:
            problems.append(_unusable(_text(path)))
        elif is_prompt_file(path.name):
            if path.is_symlink() and path.exists() and _leaves(path, folder):
                message = "is a link that leaves the folder, so it is not followed: copy the file"
                problems.append(Problem(source=_text(path), message=message))
            else:
                files.append(_local_file(path))
    return PromptFiles(files if problems else _at_least_one(files), problems, folder)


def _at_least_one(files: list[PromptFile]) -> list[PromptFile]:
    if not files:
        raise NoPromptFileError(f"contains no prompt set; file names end in {', '.join(SUFFIXES)}")
    return files


def _unusable(source: str) -> Problem:
    message = "cannot be read, so it is passed over; save it as .xlsx, as CSV in UTF-8, or as YAML"
    return Problem(source=source, message=message, severity="warning")


def _leaves(path: Path, folder: Path) -> bool:
    return not Path(os.path.realpath(path)).is_relative_to(folder)


def _local_file(path: Path) -> PromptFile:
    return PromptFile(_text(path), _stamp(path), lambda: _content(path))


def _stamp(path: Path) -> Hashable | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _RECENT_NS:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _content(path: Path) -> bytes:
    try:
        if not path.exists():
            raise UnreadableError("does not exist")
        if not path.is_file():
            raise UnreadableError("is not a regular file")
        check_size(path.stat().st_size)
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    check_size(len(content))
    return content


def _text(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")

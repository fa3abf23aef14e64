"""The rules for references: links, paths beside the prompt file and s3:// addresses, by kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.net.redaction import redact
from seedance_dagster.net.s3_locations import LocationError, s3_location
from seedance_dagster.prompts.files import FileReference, hash_file
from seedance_dagster.prompts.identity import INVISIBLE
from seedance_dagster.prompts.problems import UnreadableError, kind_of, shown

_LONGEST_EXTENSION = 4
_EXAMPLES = {"image": "cat.png", "video": "cat.mp4", "audio": "cat.mp3"}
_ADDRESS = "s3://bucket/cat.png"
_SEVERAL = re.compile(r"[,;]\s*(?:https?://|s3://|$)")
_AROUND = f" \t\r\n\u00a0{INVISIBLE}"


def read_references(
    fields: Mapping[str, Any],
    kind: str,
    limits: Limits,
    folder: Path | None,
    report: Callable[[str, str], object],
) -> tuple[str, ...] | None:
    """Check the references of one kind, and return them as a request has them; None where they are no list.

    Args:
        fields: The prompt's fields as its file has them.
        kind: "image", "video" or "audio".
        limits: The vendor's limits.
        folder: The folder of the prompt file, which paths start from; None where there is none.
        report: Called with field and message for each problem.
    """
    name = f"{kind}_urls"
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        report(
            name,
            f"is {_kind(value)}; it must be a list of URLs, s3:// addresses or paths, such as "
            f'["https://cdn.example.com/{_EXAMPLES[kind]}"]',
        )
        return None
    formats: tuple[str, ...] = getattr(limits, f"{kind}_formats")
    references = []
    for number, url in enumerate(value, 1):
        try:
            references.append(_read(url, formats, limits, folder))
        except UnreadableError as error:
            report(name, f"number {number} {error}")
            references.append(url)
    return tuple(references)


def _kind(value: Any) -> str:
    """Return the kind of a value that is not a list of texts."""
    if not isinstance(value, list):
        return kind_of(value)
    return f"a list with {kind_of(next(item for item in value if not isinstance(item, str)))} in it"


def s3_references(request: GenerationRequest) -> Iterator[FileReference]:
    """Yield the references of a request to objects in S3."""
    for _, _, url in request.references():
        file = FileReference.parse(url)
        if file is not None and file.in_s3:
            yield file


def _read(url: str, formats: tuple[str, ...], limits: Limits, folder: Path | None) -> str:
    url = url.strip(_AROUND)
    file = FileReference.parse(url)
    if file is None:
        _check_link(url, formats)
        return url
    if not file.location.isprintable() or set("?#") & set(file.location):
        raise UnreadableError("contains a character that is not allowed: ?, # or one that cannot be printed")
    if file.in_s3:
        _check_address(file.location)
    elif ":" in file.location.partition("/")[0] or not file.location:
        raise _not_a_reference(url)
    if file.suffix.removeprefix(".") not in formats:
        raise UnreadableError(f"is {file.suffix or 'without an ending'}; allowed are {', '.join(formats)}")
    if file.in_s3:
        return str(file)
    try:
        sha256 = hash_file(folder, file.location, max_bytes=limits.max_upload_bytes)
    except UnreadableError as error:
        raise UnreadableError(f"({shown(file.location)}) {error}") from None
    return str(FileReference(file.location, sha256))


def _check_address(address: str) -> None:
    try:
        location = s3_location(address, example=_ADDRESS)
    except LocationError as error:
        raise UnreadableError(str(error)) from None
    if location is None or not location.key:
        raise UnreadableError(f"names no key; write {_ADDRESS}")


def _not_a_reference(text: str) -> UnreadableError:
    return UnreadableError(
        f"({shown(redact(text))}) is not an http(s) URL, an s3:// address or a path from the prompt file's "
        "folder"
    )


def _check_link(url: str, formats: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        parts, host = urlsplit(""), None
    if _SEVERAL.search(url):
        raise UnreadableError(
            f"({shown(redact(url))}) has a comma or a semicolon after a link; write each link as an item of "
            "the list"
        )
    if not host or not url.isprintable() or " " in url:
        raise _not_a_reference(url)
    if parts.username or parts.password:
        raise UnreadableError("contains a user name or a password, which would be sent to the vendor")
    _, dot, extension = parts.path.rpartition("/")[2].rpartition(".")
    is_extension = dot and extension.isalnum() and len(extension) <= _LONGEST_EXTENSION
    if is_extension and extension.lower() not in formats:
        raise UnreadableError(f"is .{extension}; allowed are {', '.join(formats)}")

"""Rights: who owns a prompt and its references, and on what terms they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.prompts.bounds import MAX_TAG_CHARACTERS
from seedance_dagster.prompts.files import FileReference
from seedance_dagster.prompts.links import unsigned_link
from seedance_dagster.prompts.problems import shown

SET_RIGHTS = ("rights", "reference_rights")
"""The fields of a set: the rights of its prompts, and those of its references as they are written."""
OF_PROMPT = "prompt"
Rights = Mapping[str, str]
"""Some of `license`, `holder` and `source`; or `text` alone, for rights written as a text."""
AllRights = Mapping[str, Rights]
"""The rights of a prompt, under `prompt`, and of its references, under `image1` and the like."""
Report = Callable[[str, str], object]
"""`report(field, message)`."""

_PARTS = ("license", "holder", "source")
_RULE = (
    "allowed are a text, or a mapping with some of license, holder and source, such as {license: CC-BY-4.0}"
)


def read_rights(value: Any, field: str, report: Report) -> dict[str, str]:
    """Return the rights that a file states; empty where it states none, or a problem was reported."""
    if value is None:
        return {}
    rights = {"text": value} if isinstance(value, str) else value
    if not isinstance(rights, Mapping) or not rights or not _is_text(rights):
        report(field, f"is {shown(value)}; {_RULE}")
        return {}
    unknown = [name for name in rights if name not in _PARTS and not isinstance(value, str)]
    if unknown:
        report(f"{field}.{unknown[0]}", f"is not known; {_RULE}")
        return {}
    for name, text in rights.items():
        if len(text) > MAX_TAG_CHARACTERS:
            report(field, f"has {len(text)} characters; allowed are {MAX_TAG_CHARACTERS}")
        elif not text.replace("\n", "").isprintable():
            report(f"{field}.{name}", "contains characters that cannot be printed")
    return {name: rights[name].strip() for name in (*_PARTS, "text") if name in rights}


def read_reference_rights(value: Any, report: Report) -> dict[str, dict[str, str]]:
    """Return the rights of references, by each reference as it is written."""
    name = "reference_rights"
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not value:
        report(name, "must be a mapping of references to rights, such as {references/cat.png: CC-BY-4.0}")
        return {}
    return {str(key): read_rights(rights, f"{name}.{key}", report) for key, rights in value.items()}


def rights_of(request: GenerationRequest, own: Rights, of_references: AllRights) -> dict[str, dict[str, str]]:
    """Return the rights of a prompt and its references.

    Args:
        request: The prompt's request.
        own: The rights of the prompt itself.
        of_references: The rights of the set's references, by each reference as it is written.
    """
    rights = {OF_PROMPT: dict(own)} if own else {}
    by_place = {reference_place(reference): terms for reference, terms in of_references.items()}
    for kind, position, url in request.references() if by_place else ():
        if terms := by_place.get(reference_place(url)):
            rights[f"{kind}{position}"] = dict(terms)
    return rights


def places_of(request: GenerationRequest) -> set[str]:
    """Return the places of a request's references."""
    return {reference_place(url) for _, _, url in request.references()}


def reference_place(reference: str) -> str:
    """Return what all references to one file share: its path, or its unsigned link."""
    file = FileReference.parse(reference)
    return unsigned_link(reference) if file is None else file.location


def _is_text(rights: Mapping[Any, Any]) -> bool:
    return all(isinstance(text, str) and text.strip() for text in rights.values())

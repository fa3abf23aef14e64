"""Pairs of videos that differ in one thing only: a field of the request, or a tag."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from seedance_dagster.api.wire import REFERENCE_KINDS
from seedance_dagster.ledger.comparison import ComparedVideo, Question
from seedance_dagster.ledger.errors import VerdictError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.net.redaction import redact, redact_url
from seedance_dagster.prompts.identity import default_resolution, normalized_text, reference_identity
from seedance_dagster.prompts.matrix import TEMPLATE_TAG, VARIED_FIELDS
from seedance_dagster.prompts.tags import tag_text

_LINKS = tuple(f"{kind}_urls" for kind in REFERENCE_KINDS)
_MAX_VALUES = 30  # a tag with more, such as a number of each prompt, names no variants
_MAX_NAMED = 5
_SOUND = "audio"


class Pair(NamedTuple):
    """Two videos of one prompt, the first one of a question's first variant."""

    first: ComparedVideo
    second: ComparedVideo

    @property
    def videos(self) -> frozenset[str]:
        """The SHA-256 of both."""
        return frozenset((self.first.sha256, self.second.sha256))


def find_pairs(ledger: Ledger, prompt_set: str, question: Question) -> list[Pair]:
    """Return the pairs of a question in a set.

    Raises:
        VerdictError: There is none, and the message names what can be compared; or it is about sound.
        LedgerError: The ledger cannot be read.
    """
    if question.name == _SOUND:
        raise VerdictError(
            "audio: pairs are played without sound, since a video with sound would say which variant it is; "
            "listen to both in the gallery, and accept the better one"
        )
    videos = ledger.comparisons.videos(prompt_set)
    pairs = pairs_of(videos, question)
    if not pairs:
        known = list(map(_described, questions_of(videos)))
        more = "" if len(known) <= _MAX_NAMED else f"; and {len(known) - _MAX_NAMED} more"
        raise VerdictError(
            f"{prompt_set}: no two videos of one prompt differ in {_described(question)} alone; "
            f"these can be compared: {'; '.join(known[:_MAX_NAMED]) or 'none'}{more}"
        )
    return pairs


def pairs_of(videos: Iterable[ComparedVideo], question: Question) -> list[Pair]:
    """Return the pairs of a question: of videos that are alike in everything else, take by take."""
    name, *values = question
    candidates = (video for video in videos if value_of(video, name) in values)
    pairs = [pair for group in _groups(candidates, name) for pair in _pairs(group, *values)]
    return list({pair.videos: pair for pair in pairs}.values())  # several partitions may show one video


def questions_of(videos: Sequence[ComparedVideo]) -> dict[Question, int]:
    """Return the questions that some pairs can answer, each with its number of pairs, sorted.

    Pairs are played without sound, so sound is left out.
    """
    tags = {name for video in videos for name in video.tags} - {TEMPLATE_TAG, *VARIED_FIELDS}
    answerable: dict[Question, set[frozenset[str]]] = {}
    for name in {*VARIED_FIELDS, *tags} - {_SOUND}:
        if 1 < len({value_of(video, name) for video in videos} - {None}) <= _MAX_VALUES:
            for group in _groups(videos, name):
                for first, second in combinations(sorted(group), 2):
                    pairs = {pair.videos for pair in _pairs(group, first, second)}
                    answerable.setdefault(Question(name, first, second), set()).update(pairs)
    return {question: len(pairs) for question, pairs in sorted(answerable.items()) if pairs}


def value_of(video: ComparedVideo, name: str) -> str | None:
    """Return the value of a field or a tag; None if there is none, or if a tag's value holds a secret."""
    if name not in VARIED_FIELDS:
        value = video.tags.get(name)
        return value if redact(value, redact_url) == value else None
    request = video.request
    value = request.get(name)
    if name == "resolution" and value is None:
        value = default_resolution(request["task_type"])
    return None if value is None else tag_text(value)


def _described(question: Question) -> str:
    return f"{question.name}={question.first} and {question.name}={question.second}"


_Group = dict[str, list[ComparedVideo]]


def _groups(videos: Iterable[ComparedVideo], name: str) -> Iterator[_Group]:
    """Return groups of videos that differ in one field or tag alone, by its value."""
    groups: dict[str, _Group] = {}
    for video in videos:
        value = value_of(video, name)
        if value is not None:
            groups.setdefault(_likeness(video, name), {}).setdefault(value, []).append(video)
    return iter(groups.values())


def _pairs(group: _Group, first: str, second: str) -> Iterator[Pair]:
    for one, other in zip(group.get(first, ()), group.get(second, ()), strict=False):
        if one.sha256 != other.sha256:
            yield Pair(one, other)


def _likeness(video: ComparedVideo, name: str) -> str:
    """Return a text that is the same for videos that differ in one field or tag alone.

    Variants of a template share its id, so their texts may differ by what a tag fills in.
    """
    request: dict[str, Any] = {**video.request, "prompt": normalized_text(video.request["prompt"])}
    for links in _LINKS:
        request[links] = list(map(reference_identity, request.get(links) or ()))
    if name in VARIED_FIELDS:
        request.pop(name, None)
    elif TEMPLATE_TAG in video.tags:
        del request["prompt"]
    tags = {key: value for key, value in video.tags.items() if key != name}
    return json.dumps([request, tags, video.take], sort_keys=True)

"""Prompts of a set with the same request, or nearly the same text, reported before anything is paid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.problems import Problem

_NON_LETTERS = re.compile(r"[\W_]+")
_ASCII_NON_LETTERS = bytes(code for code in range(128) if not chr(code).isalnum())


def repetitions(prompt_set: PromptSet, places: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a warning for each prompt that repeats the request of another, exactly or nearly.

    Args:
        prompt_set: The set.
        places: The place of each prompt in the file, by id.
    """

    def warning(prompt_id: str, message: str) -> Problem:
        place = f"{places[prompt_id]} ({prompt_id})"
        return Problem(
            source=prompt_set.source, prompt=place, field="prompt", message=message, severity="warning"
        )

    for key, earlier in prompt_set.repeated.items():
        partition, first = prompt_set.partitions[key], prompt_set.partitions[earlier]
        if partition.take == 1:
            yield warning(
                partition.prompt_id,
                f"repeats the request of {first.prompt_id}, so both show one video; set takes: 2 for two "
                "videos of it, or fresh: true for one of its own",
            )
    alike: dict[tuple[object, ...], str] = {}
    for prompt in prompt_set.prompts:
        earlier = alike.setdefault(_near_key(prompt), prompt.id)
        if earlier != prompt.id and not (prompt.id in prompt_set.repeated or prompt.fresh):
            message = (
                f"differs from that of {earlier} only in whitespace, case or punctuation; both are paid for"
            )
            yield warning(prompt.id, message)


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    if text.isascii():  # ten times as fast
        return text.encode().translate(None, _ASCII_NON_LETTERS).lower().decode()
    return _NON_LETTERS.sub("", text).casefold()


def _near_key(prompt: Prompt) -> tuple[object, ...]:
    """Return a key that is equal for prompts whose texts differ only in whitespace, case and punctuation."""
    request = prompt.request
    letters = _letters(request.prompt) or request.prompt
    rest = request.image_urls, request.video_urls, request.audio_urls, request.resolution, request.audio
    return letters, request.task_type, request.mode, request.duration, request.aspect_ratio, *rest

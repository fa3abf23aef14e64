"""Prompts that differ only in their text: everything else is checked once for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from seedance_dagster.api.wire import GenerationRequest

Requests = tuple[GenerationRequest, GenerationRequest | None]
"""The request of a prompt, and that of its final, if any."""

_OF_EACH_PROMPT = frozenset({"id", "prompt", "tags", "rights"})
_PLAIN = frozenset({str, int, bool})  # lists of references are not: a text may mention them


class AlikeRequests:
    """The valid requests of a set, one for each combination of the other fields."""

    def __init__(self) -> None:
        self._requests: dict[Hashable, Requests] = {}

    @staticmethod
    def key(fields: Mapping[str, Any]) -> Hashable | None:
        """Return a key shared by prompts that differ only in their text; None where the text matters."""
        text = fields.get("prompt")
        if not isinstance(text, str) or "@" in text or "\uff20" in text:  # it may mention a reference
            return None
        values = tuple([value for name, value in fields.items() if name not in _OF_EACH_PROMPT])
        types = tuple(map(type, values))  # 1 equals True
        return (tuple(fields), types, values) if _PLAIN.issuperset(types) else None

    def get(self, key: Hashable | None) -> Requests | None:
        """Return the requests of a key."""
        return None if key is None else self._requests.get(key)

    def add(self, key: Hashable | None, requests: Requests) -> None:
        """Remember requests for which no problem was reported."""
        if key is not None:
            self._requests[key] = requests

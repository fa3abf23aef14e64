"""Requests that differ in their text alone: everything else is checked once for all of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from seedance_dagster.api.wire import GenerationRequest

_OTHERS = tuple(name for name in GenerationRequest.model_fields if name != "prompt")
_PLAIN = frozenset({type(None), str, int, bool})  # no references, to which a text may refer
_MENTION_SIGNS = "@\uff20"


class AlikeRequests:
    """The valid requests of a set, one for each combination of fields beside the text."""

    def __init__(self) -> None:
        self._requests: dict[Hashable, GenerationRequest] = {}

    @staticmethod
    def key(fields: Mapping[str, Any], *, ratio_given: bool) -> Hashable | None:
        """Return a key that equals another's where only the texts differ; None where the text matters."""
        text = fields["prompt"]
        if not isinstance(text, str) or any(sign in text for sign in _MENTION_SIGNS):
            return None
        values = tuple(fields.get(name) for name in _OTHERS)
        types = tuple(map(type, values))  # 1 equals True
        return (ratio_given, types, values) if _PLAIN.issuperset(types) else None

    def get(self, key: Hashable | None) -> GenerationRequest | None:
        """Return the request of a key."""
        return None if key is None else self._requests.get(key)

    def add(self, key: Hashable | None, request: GenerationRequest) -> None:
        """Remember a request about which nothing was reported."""
        if key is not None:
            self._requests[key] = request

"""A video store in memory, with a set's index in it."""

from __future__ import annotations

import json
from collections.abc import Callable

JSONL, PARQUET = "p/spots/index.jsonl", "p/spots/index.parquet"


class Bucket:
    """A video store in memory; `before_put` is called with each key before it is written."""

    bucket, prefix = "videos", "p"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.before_put: Callable[[str], None] = lambda _: None

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def head(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put_bytes(self, key: str, body: bytes, **_: object) -> None:
        self.puts += 1
        self.before_put(key)
        self.objects[key] = body

    def listed(self) -> list[str]:
        """Partitions in the index, in its order."""
        return [json.loads(line)["partition"] for line in self.objects[JSONL].splitlines()]

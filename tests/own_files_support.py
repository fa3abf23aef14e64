"""Prompts that refer to files of the team's own, ordered and sent by an engine on one clock."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from factories import ORDER_REQUEST
from reference_host import sample
from stepped_engine import SteppedEngine
from stores import MemoryStore

from seedance_dagster.engine.ordering.place import place_orders
from seedance_dagster.engine.ordering.preflight import Preflight, preflight
from seedance_dagster.engine.ordering.quote import quote
from seedance_dagster.engine.reference_contents import read_contents
from seedance_dagster.ledger.order import Order
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts import PromptSet, load_prompt_sets

CAT = sample("cat.png")


class FakeS3:
    """The part of an S3 client that reads objects.

    Attributes:
        objects: Content by bucket and key; a text is the code of the error that reading it gives.
        reads: The keys whose content was sent.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes | str] = {}
        self.reads: list[str] = []
        self.meta = SimpleNamespace(events=SimpleNamespace(register_first=lambda *_, **__: None))

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  boto3's names
        content = self.objects.get((Bucket, Key), "NoSuchKey")
        if isinstance(content, str):
            raise ClientError({"Error": {"Code": content, "Message": "no"}}, "GetObject")
        self.reads.append(Key)
        return {"Body": io.BytesIO(content), "ETag": _etag(content), "ContentLength": len(content)}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803  boto3's names
        content = self.objects.get((Bucket, Key))
        if not isinstance(content, bytes):
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        return {"ETag": _etag(content)}

    def generate_presigned_url(self, _: str, *, Params: dict[str, str], ExpiresIn: int) -> str:  # noqa: N803  boto3's names
        return f"https://s3.example/{Params['Bucket']}/{Params['Key']}?X-Amz-Signature=secret&e={ExpiresIn}"


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


class Team:
    """A folder of prompts with references, and an engine that orders them.

    Attributes:
        folder: Holds the prompt file, cat.png and whatever a test adds.
        engine: An emulated vendor with its file service, on the test's clock.
        s3: The objects that prompts refer to.
    """

    def __init__(self, folder: Path, engine: SteppedEngine, **policy: Any) -> None:
        self.folder, self.engine, self.s3 = folder, engine, FakeS3()
        (folder / "cat.png").write_bytes(CAT)
        store = MemoryStore()
        store.client = self.s3  # type: ignore[assignment]
        engine.services = dataclasses.replace(
            engine.services, store=store, policy=dataclasses.replace(engine.services.policy, **policy)
        )

    @property
    def store(self) -> MemoryStore:
        assert isinstance(self.engine.services.store, MemoryStore)
        return self.engine.services.store

    def load(self, *images: str, text: str = "a cat", **fields: Any) -> PromptSet:
        """Write a set of one prompt with these images, and load it."""
        prompt = {"id": "cat", "prompt": text, "mode": "omni_reference", **fields}
        prompt.setdefault("image_urls", list(images))
        path = self.folder / "spots.json"
        path.write_text(json.dumps({"name": "spots", "prompts": [prompt]}))
        loaded = load_prompt_sets(path)
        assert [str(problem) for problem in loaded.errors] == []
        [prompt_set] = loaded.sets
        return prompt_set

    def check(
        self, *images: str, request: OrderRequest = ORDER_REQUEST, read: bool = True, **fields: Any
    ) -> Preflight:
        """Load a prompt as a run does, and return its preflight."""
        services = self.engine.services
        prompt_set = self.load(*images, **fields)
        prompt_set = read_contents(services, prompt_set, prompt_set.partitions if read else ())
        quotes = quote(services, list(prompt_set.partitions.values()), request, prompt_set="spots")
        return preflight(services, quotes)

    def order(self, *images: str, request: OrderRequest = ORDER_REQUEST, **fields: Any) -> Order:
        """Order a prompt that is valid; return its order."""
        checked = self.check(*images, request=request, **fields)
        assert checked.invalid == {}
        [placed] = place_orders(self.engine.services, checked.valid, request)
        return placed.order

    def send(self) -> Order:
        """Send all orders that may be sent; return the set's only order as it is afterwards."""
        self.engine.submit()
        return self.orders()[-1]

    def orders(self) -> list[Order]:
        return self.engine.ledger.queries.find(prompt_set="spots")

    def uploads(self) -> int:
        """Return how many files were uploaded to the vendor."""
        return self.engine.app.state.emulator.traffic.calls["upload"]

    def sent_links(self) -> list[str]:
        """Return the images of the newest task at the vendor."""
        newest = list(self.engine.vendor.tasks.values())[-1]
        return newest.request["input"]["image_urls"]

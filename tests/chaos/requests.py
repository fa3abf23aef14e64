"""Requests of orders and tasks in a form in which they can be compared."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from seedance_dagster.api.wire import GenerationRequest, RemovalRequest
from seedance_dagster.ledger.order import Order
from seedance_dagster.prompts.files import FileReference


def as_sent(order: Order) -> dict[str, Any]:
    """Return the request that the order's task must have, with hashes for the team's own files."""
    if order.source_order_id is not None:
        return RemovalRequest(video_url=str(order.source_url)).to_wire()
    request = GenerationRequest.model_validate(order.request, strict=False).to_wire()
    links = request["input"].get("image_urls")
    if links and (files := [FileReference.parse(link) for link in links]) and all(files):
        request["input"]["image_urls"] = [file.sha256 for file in files if file]
    return request


def as_ordered(request: dict[str, Any]) -> dict[str, Any]:
    """Return a task's request, with hashes for links to the vendor's file service."""
    links = request["input"].get("image_urls", ())
    if not any("/uploads/" in link for link in links):
        return request
    contents = [httpx.get(link, trust_env=False, timeout=30).content for link in links]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    return request | {"input": request["input"] | {"image_urls": hashes}}

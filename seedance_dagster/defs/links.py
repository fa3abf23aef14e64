"""Links in the definitions of a set's assets: to its prompt file, the bucket, the index and the gallery."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import dagster as dg

from seedance_dagster.defs.naming import ACCEPTED, DATASET, INDEX, PROMPTS, VIDEOS
from seedance_dagster.defs.resources import VideoStoreResource
from seedance_dagster.prompts.loading import LoadedPromptSets
from seedance_dagster.storage.keys import index_keys, set_folder

_IN_S3 = {VIDEOS, ACCEPTED, INDEX, DATASET}
_IN_GALLERY = {VIDEOS, ACCEPTED}
_CONSOLE = "https://console.aws.amazon.com/s3/buckets"
_OTHER_S3 = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Links:
    """The places that the assets of a code location link to.

    Attributes:
        bucket: The bucket's name; empty where it is not known when the definitions are loaded.
        prefix: The beginning of every key.
        at_aws: True where the bucket is Amazon's, whose console shows it.
        gallery_url: Where the gallery is served; empty for no link.
        video_url: The template of a link to an object, with `{key}`; empty for no link.
    """

    bucket: str = ""
    prefix: str = ""
    at_aws: bool = False
    gallery_url: str = ""
    video_url: str = ""

    @classmethod
    def of(cls, store: VideoStoreResource) -> Links:
        """Return the links that a resource gives; a reference to an environment variable is resolved."""
        endpoint = getattr(store.s3, "endpoint_url", None) or any(map(os.environ.get, _OTHER_S3))
        return cls(
            bucket=_resolved(store.bucket),
            prefix=_resolved(store.prefix),
            at_aws=not endpoint,
            gallery_url=_resolved(store.gallery_url),
            video_url=_resolved(store.video_url),
        )

    def add_to(self, prompt_set: str, loaded: LoadedPromptSets, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec of one of a set's assets with its links."""
        asset = spec.key.path[-1]
        links: dict[str, Any] = {}
        if asset == PROMPTS:
            links |= _prompt_file(prompt_set, loaded)
        if asset in _IN_S3 and self.bucket:
            links |= self._in_s3(prompt_set)
        if asset == INDEX and self.video_url:
            key = index_keys(self.prefix, prompt_set).manifest
            links["seedance/index_url"] = dg.MetadataValue.url(self.video_url.replace("{key}", quote(key)))
        if asset in _IN_GALLERY and self.gallery_url:
            query = urlencode({"set": prompt_set})
            links["seedance/gallery"] = dg.MetadataValue.url(f"{self.gallery_url}/?{query}")
        return spec.merge_attributes(metadata=links) if links else spec

    def _in_s3(self, prompt_set: str) -> Mapping[str, Any]:
        folder = f"{set_folder(self.prefix, prompt_set)}/"
        links: dict[str, Any] = {"seedance/folder": dg.MetadataValue.path(f"s3://{self.bucket}/{folder}")}
        if self.at_aws:
            query = urlencode({"prefix": folder})
            links["seedance/console"] = dg.MetadataValue.url(f"{_CONSOLE}/{quote(self.bucket)}?{query}")
        return links


def _prompt_file(prompt_set: str, loaded: LoadedPromptSets) -> Mapping[str, Any]:
    for file in loaded.files:
        if file.prompt_set == prompt_set and ("://" in file.source or Path(file.source).is_file()):
            source = file.source if "://" in file.source else str(Path(file.source).absolute())
            return {"seedance/prompt_file": dg.MetadataValue.path(source)}
    return {}


def _resolved(value: str) -> str:
    return (value.get_value() or "") if isinstance(value, dg.EnvVar) else value

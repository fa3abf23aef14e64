"""The links on the pages of a set's assets."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster_aws.s3 import S3Resource

from seedance_dagster import (
    SeedanceResource,
    SeedanceTranslator,
    VideoStoreResource,
    build_seedance_definitions,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one set, and no endpoint of S3 in the environment."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    return tmp_path


def links(folder, asset, translator=None, **store) -> dict[str, object]:
    """Return the metadata of one asset's definition."""
    defs = build_seedance_definitions(
        folder,
        seedance=SeedanceResource(),
        video_store=VideoStoreResource(**store),
        key_prefix="team_a",
        translator=translator,
    )
    key = dg.AssetKey(["team_a", "spots", asset])
    spec = next(spec for spec in defs.resolve_all_asset_specs() if spec.key == key)
    return {name: value.value for name, value in spec.metadata.items() if name.startswith("seedance/")}


def test_assets_link_to_prompt_file_bucket_index_and_gallery(folder, monkeypatch):
    """The console is linked where the bucket is at AWS; the name of the bucket may be in the environment."""
    monkeypatch.setenv("OUR_BUCKET", "clips")
    place = "s3://clips/videos/team_a.spots/"
    console = "https://console.aws.amazon.com/s3/buckets/clips?prefix=videos%2Fteam_a.spots%2F"
    store = {
        "bucket": dg.EnvVar("OUR_BUCKET"),
        "prefix": "videos",
        "gallery_url": "https://gallery.example.com",
        "video_url": "https://cdn.example.com/{key}",
    }
    assert links(folder, "prompts", **store) == {"seedance/prompt_file": f"{folder}/spots.yaml"}
    assert links(folder, "tasks", **store) == {}
    assert links(folder, "videos", **store) == {
        "seedance/folder": place,
        "seedance/console": console,
        "seedance/gallery": "https://gallery.example.com/?set=team_a.spots",
    }
    assert links(folder, "index", **store) == {
        "seedance/folder": place,
        "seedance/console": console,
        "seedance/index_url": "https://cdn.example.com/videos/team_a.spots/index/_manifest.json",
    }


def test_only_what_is_known_is_linked(folder, monkeypatch):
    """Another S3 has no console of AWS, and without a bucket there is no folder."""
    assert links(folder, "videos") == {}
    elsewhere = S3Resource(endpoint_url="https://s3.example.com")
    only_folder = {"seedance/folder": "s3://clips/seedance/team_a.spots/"}
    assert links(folder, "videos", bucket="clips", s3=elsewhere) == only_folder
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.com")
    assert links(folder, "dataset", bucket="clips") == only_folder


def test_a_translator_sees_the_links(folder):
    """A translator sees the links, and may replace them like other metadata."""

    class Ours(SeedanceTranslator):
        def get_metadata(self, prompt_set, spec):
            return {f"{name}/ours": value for name, value in spec.metadata.items() if "folder" in name}

    shown = links(folder, "videos", Ours(), bucket="clips")
    assert shown == {"seedance/folder/ours": "s3://clips/seedance/team_a.spots/"}

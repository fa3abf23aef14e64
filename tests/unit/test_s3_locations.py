"""Addresses in S3 that cannot be meant: refused in words, before anything is sent."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from prompts_support import load_prompts, problems_of
from stores import MemoryStore

from seedance_dagster.cli.local.state_dir import StateDir
from seedance_dagster.cli.root import root
from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.s3_destination import open_destination
from seedance_dagster.net.s3_locations import LocationError, s3_location
from seedance_dagster.prompts import load_prompt_sets

NO_BUCKET = "names no bucket; write s3://bucket/folder"
NOT_A_NAME = (
    "names the bucket 'My Videos'; allowed are letters, digits, dots, hyphens and underscores: "
    "write s3://bucket/folder"
)
OTHER = "begins with 'gs:/'; allowed are a path, and an address such as s3://bucket/folder"
WRONG = [
    ("s3://", NO_BUCKET),
    ("s3:///spots.yaml", NO_BUCKET),
    ("s3://My Videos/spots", NOT_A_NAME),
    ("gs://videos/spots", OTHER),
]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("s3://videos", ("videos", "")),
        ("s3://my.videos_1/", ("my.videos_1", "")),
        ("s3://v/a b/c?.yaml", ("v", "a b/c?.yaml")),
        ("prompts/spots.yaml", None),
        ("/a:/b", None),
        (r"C:\prompts", None),
        ("C:/prompts", None),
        ("spots: the first.yaml", None),
    ],
)
def test_what_can_be_meant_is_read(location, expected):
    """A bucket and a key, or None for a path."""
    assert s3_location(location) == expected


@pytest.mark.parametrize(
    "location", ["S3://videos/x", "s3:/videos/x", "s3a://videos/x", "file:///x", "arn:aws:s3:::videos/x"]
)
def test_other_addresses_are_no_paths(location):
    """An address that is written a little differently is not taken for a folder of that name."""
    with pytest.raises(LocationError, match="allowed are a path, and an address such as s3://bucket/folder"):
        s3_location(location)


@pytest.mark.parametrize(("location", "message"), WRONG)
def test_a_location_of_prompts(location, message):
    """A plan, a tick and a run name the location and what is allowed."""
    assert [str(problem) for problem in load_prompt_sets(location).problems] == [f"{location} {message}"]


@pytest.mark.parametrize(("location", "message"), WRONG)
def test_the_prompts_of_dev(tmp_path, location, message):
    """It names the variable, and starts nothing."""
    with pytest.raises(click.ClickException) as caught:
        StateDir.for_environ(tmp_path, {"SEEDANCE_PROMPTS": location})
    assert caught.value.message == f"SEEDANCE_PROMPTS={location} {message}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("location", "message"), WRONG)
def test_a_destination_of_a_dataset(location, message):
    """Nothing is exported into a folder that is called like an address."""
    with pytest.raises(ExportError) as caught:
        open_destination(location, MemoryStore())
    assert str(caught.value) == f"{location} {message}"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3:///cat.png", "number 1 names no bucket; write s3://bucket/cat.png"),
        ("s3://My Videos/cat.png", f"number 1 {NOT_A_NAME}".replace("folder", "cat.png")),
        ("s3://videos", "number 1 names no key; write s3://bucket/cat.png"),
    ],
)
def test_a_reference(tmp_path, address, message):
    """The prompt and the field are named with it."""
    prompt = {"id": "cat", "prompt": "@image1", "mode": "omni_reference", "image_urls": [address]}
    [(_, field, problem)] = problems_of(load_prompts(tmp_path, prompt))
    assert (field, problem) == ("image_urls", message)


def test_a_download_goes_to_this_machine(tmp_path, monkeypatch):
    """An address is refused, and no folder of that name is made."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["download", "spots", "s3://videos/spots"])
    assert done.exit_code == 2
    assert "is an address; allowed is a folder on this machine" in done.output
    assert list(tmp_path.iterdir()) == []

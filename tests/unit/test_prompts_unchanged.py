"""Prompt files that did not change: a process reads them once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedance_dagster.prompts import load_prompt_sets, loading, places

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read from now on; every file is old enough to be known."""
    names: list[str] = []
    content = places._content

    def recorded(path: Path) -> bytes:
        names.append(path.name)
        return content(path)

    monkeypatch.setattr(places, "_RECENT_NS", 0)
    monkeypatch.setattr(places, "_content", recorded)
    monkeypatch.setattr(loading, "_last", {})
    return names


def texts(folder: Path) -> list[str]:
    loaded = load_prompt_sets(folder)
    assert loaded.errors == ()
    return [prompt.request.prompt for prompt_set in loaded.sets for prompt in prompt_set.prompts]


def test_a_file_is_read_again_only_when_it_changed(tmp_path, reads):
    """A tick with unchanged files reads none, and gives the same sets (p3)."""
    (tmp_path / "a.csv").write_text("prompt\none\n")
    (tmp_path / "b.yaml").write_text("{name: b, prompts: [{prompt: two}]}")
    first = load_prompt_sets(tmp_path)
    assert sorted(reads) == ["a.csv", "b.yaml"]
    again = load_prompt_sets(tmp_path)
    assert all(new is old for new, old in zip(again.sets, first.sets, strict=True))
    assert len(reads) == 2
    (tmp_path / "a.csv").write_text("prompt\nONE\n")  # as long as before
    os.utime(tmp_path / "a.csv", (0, 0))
    assert texts(tmp_path) == ["ONE", "two"]
    assert reads[2:] == ["a.csv"]


def test_a_file_that_was_written_just_now_is_read_again(tmp_path, reads, monkeypatch):
    """Two edits within one tick of the file system's clock look like one."""
    monkeypatch.setattr(places, "_RECENT_NS", 3600 * 10**9)
    (tmp_path / "a.csv").write_text("prompt\none\n")
    assert texts(tmp_path) == texts(tmp_path) == ["one"]
    assert reads == ["a.csv", "a.csv"]


def test_errors_are_remembered_and_mended(tmp_path, reads):
    """A file with an error is reported at every load, and used as soon as it is right."""
    path = tmp_path / "a.yaml"
    path.write_text("{name: a, prompts: [{prompt: x, duration: 3}]}")
    messages = [[str(problem) for problem in load_prompt_sets(tmp_path).errors] for _ in range(2)]
    assert messages[0] == messages[1] != []
    assert reads == ["a.yaml"]
    path.write_text("{name: a, prompts: [{prompt: x, duration: 4}]}")
    assert texts(tmp_path) == ["x"]
    path.unlink()
    assert [problem.message[:8] for problem in load_prompt_sets(tmp_path).errors] == ["contains"]


def test_references_count_although_the_file_is_the_same(tmp_path, reads):
    """A picture beside the file may change, appear or vanish while the file does not."""
    (tmp_path / "a.yaml").write_text(
        "{name: a, prompts: [{prompt: x, mode: omni_reference, image_urls: [a.png]}]}"
    )
    assert "does not exist" in str(load_prompt_sets(tmp_path).errors[0])
    (tmp_path / "a.png").write_bytes(PNG)
    before = next(iter(load_prompt_sets(tmp_path).sets[0].partitions.values())).fingerprint
    (tmp_path / "a.png").write_bytes(PNG + b"other")
    assert next(iter(load_prompt_sets(tmp_path).sets[0].partitions.values())).fingerprint != before
    assert reads == ["a.yaml"]


def test_prices_count_although_the_file_is_the_same(tmp_path, reads):
    """A type that the team's prices add is known at the next load."""
    sets, prices = tmp_path / "sets", tmp_path / "prices.yaml"
    sets.mkdir()
    (sets / "a.yaml").write_text("{name: a, prompts: [{prompt: x, task_type: seedance-9}]}")
    prices.write_text("{types: {}, prices: [{type: seedance-2, resolution: 720p, usd_per_second: 0.5}]}")
    assert "is 'seedance-9'" in str(load_prompt_sets(sets, prices=str(prices)).errors[0])
    prices.write_text(
        "{types: {seedance-9: {like: seedance-2}}, prices: [{type: seedance-9, resolution: 480p, "
        "usd_per_second: 0.5}, {type: seedance-9, resolution: 720p, usd_per_second: 0.5}]}"
    )
    loaded = load_prompt_sets(sets, prices=str(prices))
    assert [str(problem) for problem in loaded.errors] == []
    assert reads == ["a.yaml"]


class Bucket:
    """A bucket whose objects have an ETag for each content."""

    def __init__(self, **objects: str) -> None:
        self.objects = objects
        self.gets: list[str] = []

    def get_paginator(self, _name):
        return self

    def paginate(self, *, Bucket, Prefix, Delimiter):  # noqa: N803  boto3's names
        yield {
            "Contents": [
                {"Key": f"{Prefix}{name}.csv", "Size": len(text), "ETag": str(hash(text))}
                for name, text in self.objects.items()
            ]
        }

    def get_object(self, *, Bucket, Key):  # noqa: N803  boto3's names
        import io

        self.gets.append(Key)
        return {"Body": io.BytesIO(self.objects[Key.rpartition("/")[2].removesuffix(".csv")].encode())}


def test_an_object_is_read_again_only_when_its_etag_changed(reads):
    """A tick with unchanged objects lists them and reads none (p3)."""
    bucket = Bucket(a="prompt\none\n", b="prompt\ntwo\n")
    for _ in range(3):
        assert len(load_prompt_sets("s3://bucket/sets/", s3_client=bucket).sets) == 2
    assert bucket.gets == ["sets/a.csv", "sets/b.csv"]
    bucket.objects["b"] = "prompt\nTWO\n"
    loaded = load_prompt_sets("s3://bucket/sets/", s3_client=bucket)
    assert loaded.sets[1].prompts[0].request.prompt == "TWO"
    assert bucket.gets[2:] == ["sets/b.csv"]
    assert reads == []

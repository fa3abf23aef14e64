"""A set whose file no longer gives its name keeps the name, and with it its assets."""

from __future__ import annotations

import shutil

import dagster as dg
import pytest

from seedance_dagster import SeedanceResource, VideoStoreResource, build_seedance_definitions
from seedance_dagster.defs.prompt_source import PromptSource, remembered_names
from seedance_dagster.prompts.loading import load_prompt_sets
from seedance_dagster.prompts.problems import PromptSetError
from seedance_dagster.prompts.remembered import RememberedNames

SPOTS = "{name: spots, prompts: [{id: cat, prompt: a cat}]}"
PETS = SPOTS.replace("spots", "pets")


@pytest.fixture
def folder(tmp_path):
    """A folder with two sets."""
    folder = tmp_path / "prompt_sets"
    folder.mkdir()
    (folder / "spots.yaml").write_text(SPOTS)
    (folder / "pets.yaml").write_text(PETS)
    return folder


def names(folder, memory) -> tuple[str, ...]:
    """Return the names of the sets as another process reads them."""
    return RememberedNames(memory).complete(folder, load_prompt_sets(folder)).names


@pytest.mark.parametrize("content", ["{name: Spots!, prompts: [", "", "\x00\x01", "- a list"])
def test_a_file_that_lost_its_name_keeps_its_set(folder, tmp_path, content):
    """Until it can be read again, under whatever name, or is gone."""
    memory = tmp_path / "memory"
    assert names(folder, memory) == ("pets", "spots")
    (folder / "spots.yaml").write_text(content)
    assert load_prompt_sets(folder).names == ("pets",)
    for _again in range(2):
        assert names(folder, memory) == ("pets", "spots")
    (folder / "spots.yaml").write_text(SPOTS.replace("spots", "films"))
    assert names(folder, memory) == ("films", "pets")
    (folder / "spots.yaml").unlink()
    assert names(folder, memory) == ("pets",)


def test_a_folder_that_is_away_keeps_its_sets_and_an_empty_one_has_none(folder, tmp_path):
    """A mount may be away; files that were removed are removed."""
    memory = tmp_path / "memory"
    names(folder, memory)
    folder.rename(tmp_path / "elsewhere")
    loaded = RememberedNames(memory).complete(folder, load_prompt_sets(folder))
    assert loaded.names == ("pets", "spots")
    assert [str(error) for error in loaded.unusable["spots"]] == [f"{folder} does not exist"]
    folder.mkdir()
    assert names(folder, memory) == ()


def test_a_name_that_another_file_has_now_is_that_file_s(folder, tmp_path):
    """A set is moved to another file, and the old one is left broken."""
    memory = tmp_path / "memory"
    names(folder, memory)
    (folder / "moved.yaml").write_text(SPOTS)
    (folder / "spots.yaml").write_text("moved")
    loaded = RememberedNames(memory).complete(folder, load_prompt_sets(folder))
    assert (loaded.names, dict(loaded.unusable)) == (("pets", "spots"), {})


@pytest.mark.parametrize("content", ["", "[]", '{"sets": 3}', '{"sets": {"a.yaml": "../x", "b": 3}}'])
def test_a_memory_that_cannot_be_used_is_none(folder, tmp_path, content):
    """A memory that cannot be used counts as empty and is written again."""
    memory = tmp_path / "memory"
    names(folder, memory)
    [file] = memory.iterdir()
    file.write_text(content)
    (folder / "spots.yaml").write_text("")
    assert names(folder, memory) == ("pets",)
    assert "pets" in file.read_text()
    shutil.rmtree(memory)
    memory.write_text("a file in the way")
    assert names(folder, memory) == ("pets",)


def test_the_assets_of_a_set_survive_a_reload(folder, tmp_path, monkeypatch):
    """A run of them fails with what is wrong with the file."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def keys() -> set[dg.AssetKey]:
        defs = build_seedance_definitions(
            folder, seedance=SeedanceResource(), video_store=VideoStoreResource()
        )
        return set(defs.resolve_all_asset_keys())

    before = keys()
    (folder / "spots.yaml").write_text("{name: Spots!, prompts: [")
    assert keys() == before
    source = PromptSource(folder, key_prefix="ours", remembered=remembered_names())
    with pytest.raises(PromptSetError, match=r"spots\.yaml"):
        source.load_set("ours.spots")

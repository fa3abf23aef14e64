"""One source for each prompt set: two code locations of an instance do not share a name (case d5)."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from seedance_dagster.defs.prompt_source import PromptSource, place_of
from seedance_dagster.defs.steps import sources
from seedance_dagster.defs.steps.memory import MEMORY, Memory, SetSource, source_key
from seedance_dagster.defs.steps.sources import claim_sources, take_sources

HERE = SetSource("ours", "/ours/prompt_sets")
THERE = SetSource("theirs", "/theirs/prompt_sets")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance that remembers nothing."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def claim(instance: dg.DagsterInstance, source: SetSource, *names: str) -> dict[str, str]:
    """Claim sets for a source; return why not."""
    return claim_sources(instance, source.code_location, dict.fromkeys(names, source.place))


def test_the_second_code_location_with_a_set_is_refused(instance):
    """Both are named, and the ways out; its other sets are its own."""
    assert claim(instance, HERE, "spots") == {}
    refused = claim(instance, THERE, "spots", "more")
    assert list(refused) == ["spots"]
    for part in (str(HERE), str(THERE), "key_prefix", "Rename it", "--use-these-prompts"):
        assert part in refused["spots"]
    assert claim(instance, HERE, "spots") == {}
    assert Memory.of(instance).sources == {"spots": [HERE], "more": [THERE]}


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        (SetSource("ours", "/ours/prompt_sets"), True),
        (SetSource("ours", "/releases/2026-11-27/prompt_sets"), True),  # a deployment moved the folder
        (SetSource("", "/ours/prompt_sets"), True),  # a command, here or in another container
        (SetSource("", "/elsewhere/prompt_sets"), False),  # a command in another checkout
        (SetSource("theirs", "/ours/prompt_sets"), False),  # another image with the same folders
        (SetSource("", "Python"), False),
    ],
)
def test_a_source_is_known_by_its_code_location_else_by_its_place(instance, source, allowed):
    """A reload, a moved folder and a command are the same source; another project is not."""
    claim(instance, HERE, "spots")
    assert (claim(instance, source, "spots") == {}) is allowed


def test_what_is_learned_of_a_source_is_kept(instance):
    """A command comes first, the sensor adds its name, and no command takes it away again."""
    command = SetSource("", HERE.place)
    for source in (command, HERE, command):
        assert claim(instance, source, "spots") == {}
    assert Memory.of(instance).sources == {"spots": [HERE]}
    assert len(instance.get_dynamic_partitions(MEMORY)) == 1


def test_a_move_by_hand_is_final(instance):
    """A command takes a set, the sensor of its folder goes on with it, and the old one is refused."""
    claim(instance, HERE, "spots")
    take_sources(instance, "", {"spots": THERE.place})
    assert list(claim(instance, HERE, "spots")) == ["spots"]
    assert claim(instance, THERE, "spots") == {}
    assert Memory.of(instance).sources == {"spots": [THERE]}
    take_sources(instance, THERE.code_location, {"spots": THERE.place})
    assert Memory.of(instance).sources == {"spots": [THERE]}


def test_two_that_come_first_at_once_are_never_both_let_in(instance, monkeypatch):
    """Each reads back after it wrote, and a refused one leaves no trace."""
    add = sources.add_keys

    def add_behind_the_other(instance, keys):
        add(instance, [source_key("spots", THERE)])
        add(instance, keys)

    monkeypatch.setattr(sources, "add_keys", add_behind_the_other)
    assert list(claim(instance, HERE, "spots")) == ["spots"]
    assert Memory.of(instance).sources["spots"] == [THERE]


def test_odd_places_survive_memory(instance):
    """Paths and names with any characters come back as they were."""
    odd = SetSource("a:b, c", "/tmp/x:y/100%/ü, \n")
    claim(instance, odd, "spots")
    assert Memory.of(instance).sources == {"spots": [odd]}


def test_a_place_is_the_same_in_each_process(tmp_path, monkeypatch):
    """A relative folder counts from the current one."""
    monkeypatch.chdir(tmp_path)
    assert place_of("prompt_sets/") == place_of(tmp_path / "prompt_sets") == f"{tmp_path}/prompt_sets"
    assert place_of("s3://videos/sets/") == "s3://videos/sets"


def test_each_set_of_a_source_has_the_folder_of_its_file(tmp_path):
    """A project's sensor reads many files, each step its own, a command a folder: all name a place alike."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"{{name: {name}, prompts: [{{id: cat, prompt: a cat}}]}}")
    files = (tmp_path / "one.yaml", tmp_path / "two.yaml")
    folder = str(tmp_path)
    assert PromptSource.at(files, key_prefix="a").places == {"a.one": folder, "a.two": folder}
    assert PromptSource(files[1]).places == {"two": folder}
    assert PromptSource(tmp_path).places == {"one": folder, "two": folder}
    assert PromptSource([]).places == {}
    assert place_of("s3://videos/sets/spots.csv") == "s3://videos/sets"


@pytest.mark.parametrize("prefix", ["Team", "a.b", "a/b", "1a", "a b"])
def test_a_key_prefix_obeys_the_rules_of_names(prefix):
    """Else asset keys and folders in S3 would not be one to one."""
    with pytest.raises(ValueError, match=r"key_prefix is .*; allowed are"):
        PromptSource([], key_prefix=prefix)

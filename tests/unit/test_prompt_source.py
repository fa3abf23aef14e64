"""The sources of a code location's prompt sets: files, loaded sets, sets made in Python."""

from __future__ import annotations

import dagster as dg
import pytest

from seedance_dagster import (
    PromptSet,
    SeedanceResource,
    VideoStoreResource,
    build_seedance_definitions,
    load_prompt_sets,
)
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.prompts import places
from seedance_dagster.prompts.models import Prompt
from seedance_dagster.prompts.problems import PromptSetError

VIDEOS = dg.AssetKey(["pets", "videos"])


def make_set(name: str = "pets", **fields: object) -> PromptSet:
    request = GenerationRequest(
        **{"task_type": "seedance-2-fast", "prompt": "a cat", "mode": Mode.TEXT_TO_VIDEO} | fields
    )
    return PromptSet(name=name, prompts=(Prompt(id="cat", request=request),))


def asset_names(prompt_sets) -> set[str]:
    defs = build_seedance_definitions(
        prompt_sets, seedance=SeedanceResource(), video_store=VideoStoreResource()
    )
    names = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    return {name for name in names if name.endswith(("/prompts", "/tasks", "/videos"))}


def test_a_set_of_a_prefix_that_did_not_change_stays_the_same(tmp_path, monkeypatch):
    """A set without changes stays the same object under a prefix, so ticks do not rebuild its partitions."""
    monkeypatch.setattr(places, "_RECENT_NS", 0)  # otherwise a file that was written just now is read again
    file = tmp_path / "pets.csv"
    file.write_text("prompt\na cat\n")
    source = PromptSource(tmp_path, key_prefix="ads")
    [first], [second] = source.load().sets, source.load().sets
    assert first.name == "ads.pets"
    assert second is first
    file.write_text("prompt\na dog\n")
    [third] = source.load().sets
    assert [prompt.request.prompt for prompt in third.prompts] == ["a dog"]


def test_files_are_read_at_each_use(tmp_path):
    """Files are read at each use, so a set is always what its file holds now."""
    source = PromptSource(tmp_path)
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    assert list(source.load_set("spots").partitions) == ["cat"]
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat, takes: 2}]}")
    assert list(source.load_set("spots").partitions) == ["cat", "cat.t2"]


def test_loaded_sets_make_the_same_assets(tmp_path):
    """A location, its loaded sets, and sets made in Python are all accepted."""
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    loaded = load_prompt_sets(tmp_path)
    names = {"spots/prompts", "spots/tasks", "spots/videos"}
    assert asset_names(tmp_path) == asset_names(loaded) == asset_names(loaded.sets) == names
    assert asset_names([make_set()]) == {"pets/prompts", "pets/tasks", "pets/videos"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"duration": 20}, "Python: pets, cat: duration is 20; allowed are whole seconds from 4 to 15"),
        ({"task_type": "seedance-9"}, "task_type is 'seedance-9'; allowed are those with a price"),
        ({"mode": Mode.OMNI_REFERENCE}, "omni_reference takes 1 to 12 references"),
    ],
)
def test_a_set_made_in_python_obeys_the_rules_of_files(fields, words, caplog):
    """A set that breaks a rule is left out and reported; other sets load."""
    source = PromptSource([make_set(**fields), make_set("birds")])
    assert [loaded.name for loaded in source.load().sets] == ["birds"]
    with pytest.raises(PromptSetError) as caught:
        source.load_set("pets")
    assert words in str(caught.value)
    assert asset_names([make_set(**fields)]) == set()
    assert words in caplog.text


def test_a_warning_leaves_a_set_in():
    """A ratio that the vendor ignores is reported and does no harm."""
    fields = {"mode": Mode.FIRST_LAST_FRAMES, "image_urls": ("https://x.org/a.png",), "aspect_ratio": "1:1"}
    loaded = PromptSource([make_set(**fields)]).load()
    assert [prompt_set.name for prompt_set in loaded.sets] == ["pets"]
    assert [problem.severity for problem in loaded.problems] == ["warning"]


def test_a_set_that_is_gone_is_named(tmp_path):
    """A run of a set that is no longer in the files fails with its name."""
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    with pytest.raises(PromptSetError, match="no longer contains a prompt set 'pets'"):
        PromptSource(tmp_path).load_set("pets")


def test_the_assets_of_a_set_are_one_step_with_exact_lineage():
    """Tasks are made from prompts, videos from both, and a run materializes up to 250 of the partitions."""
    defs = build_seedance_definitions(
        [make_set()], seedance=SeedanceResource(), video_store=VideoStoreResource()
    )
    [assets] = [assets for assets in defs.assets if VIDEOS in getattr(assets, "keys", ())]
    assert assets.can_subset
    assert assets.backfill_policy == dg.BackfillPolicy.multi_run(250)
    specs = {spec.key.path[-1]: spec for spec in assets.specs}
    upstream = {name: {dep.asset_key.path[-1] for dep in spec.deps} for name, spec in specs.items()}
    assert upstream == {"prompts": set(), "tasks": {"prompts"}, "videos": {"prompts", "tasks"}}
    assert {spec.partitions_def.name for spec in specs.values()} == {"pets_prompts"}
    assert {spec.group_name for spec in specs.values()} == {"pets"}


def test_prompts_are_checked_by_the_prices_of_the_resource(tmp_path, monkeypatch):
    """The path may stand in an environment variable, and a bad file is a problem beside the sets."""
    from seedance_dagster import SeedanceResource
    from seedance_dagster.defs.definitions import _price_file

    file = tmp_path / "own.yaml"
    file.write_text("prices: 5")
    monkeypatch.setenv("OUR_PRICES", str(file))
    assert _price_file(SeedanceResource(prices=dg.EnvVar("OUR_PRICES"))) == str(file)
    assert _price_file(SeedanceResource(prices=dg.EnvVar("NONE_SUCH"))) == ""
    assert _price_file(SeedanceResource(prices="own.yaml")) == "own.yaml"
    loaded = PromptSource([], prices=str(file)).load()
    assert [problem.message for problem in loaded.errors] == ["must be a list of rows, not a number"]


def test_a_set_that_is_read_twice_is_one_set_and_one_of_two_files_is_none(tmp_path):
    """A folder and a file in it may both be named; of two files with one name, neither claims a place."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, text in ((one, "a cat"), (other, "a dog")):
        folder.mkdir()
        (folder / "spots.yaml").write_text(f"{{name: spots, prompts: [{{id: cat, prompt: {text}}}]}}")
    source = PromptSource.at((one, one / "spots.yaml"))
    loaded = source.load()
    assert [prompt_set.name for prompt_set in loaded.sets] == ["spots"]
    assert (loaded.problems, source.places) == ((), {"spots": str(one)})
    source = PromptSource.at((one, other))
    loaded = source.load()
    assert (loaded.sets, loaded.names, source.places) == ((), ("spots",), {})
    assert [(file.videos, len(file.problems)) for file in loaded.files] == [(None, 1), (None, 1)]

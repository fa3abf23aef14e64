"""Projects that describe their prompt sets in YAML alone."""

from __future__ import annotations

import traceback

import dagster as dg
import pytest
import yaml
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from seedance_dagster import PromptSetComponent, Score, SeedanceComponent

SMILE = Score("smile", "1", lambda _: {"smile": 1.0}, ("smile",))
MOTION = Score("motion", "9", lambda _: {}, ("motion",))

# Dagster's own, when it reads a component's YAML.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:`parse_obj_as` is deprecated"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]


@pytest.fixture
def sandbox(monkeypatch):
    """A project without components."""
    monkeypatch.setenv("GOAPI_API_KEY", "a-key-of-the-environment")
    monkeypatch.setenv("SEEDANCE_S3_BUCKET", "videos")
    with create_defs_folder_sandbox() as sandbox:
        yield sandbox


def reasons(error: BaseException) -> str:
    """Return what Dagster prints of an error: its message, and those of what caused it."""
    return "".join(traceback.format_exception(error))


def attributes(sandbox: DefsFolderSandbox, name: str, **fields: object) -> None:
    """Change the attributes of a component."""
    path = sandbox.defs_folder_path / name / "defs.yaml"
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | {"attributes": content.get("attributes", {}) | fields}))


def test_scaffolded_components_load_and_make_a_set(sandbox):
    """The files of `dg scaffold defs` load: a set with its first prompt, and everything that it needs."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    sandbox.scaffold_component(PromptSetComponent, "launch")
    with sandbox.build_all_defs() as defs:
        keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
        assert keys - {"seedance_prompt_files"} == {
            f"launch/{name}" for name in ("prompts", "tasks", "videos", "accepted", "index", "dataset")
        }
        assert {job.name for job in defs.resolve_all_job_defs()} >= {"seedance_advance"}
        resource = defs.resources["seedance"].resource_fn(dg.build_init_resource_context())
        assert (resource.budget_usd_per_day, resource.api_key) == (20, "a-key-of-the-environment")
        assert "a-key-of-the-environment" not in repr(defs)


@pytest.mark.further
def test_several_sets_share_one_sensor(sandbox):
    """Two sets side by side load with one API; the sensor's source has the prompts of both."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    for name in ("launch", "spring"):
        sandbox.scaffold_component(PromptSetComponent, name)
    with sandbox.build_all_defs() as defs:
        names = {key.path[0] for key in defs.resolve_all_asset_keys() if len(key.path) > 1}
        assert names == {"launch", "spring"}
        assert [sensor.name for sensor in defs.sensors] == ["seedance_sensor"]


@pytest.mark.further
def test_scores_of_the_team_are_named_in_yaml(sandbox):
    """They are measured for all sets, and a set's file may have thresholds for them."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    folder = sandbox.scaffold_component(PromptSetComponent, "launch")
    with (folder / "prompts.yaml").open("a") as file:
        file.write('scores: [cuts, {smile: ">0.5"}]\n')
    attributes(sandbox, "video_api", scores=["test_components:SMILE"])
    with sandbox.build_all_defs() as defs:
        keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
        assert "launch/scores" in keys
        checks = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
        assert checks >= {"score_smile", "scores_measured"}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("smile", "'smile' must be MODULE:NAME, such as team_project.scores:smile"),
        (
            "test_components:nothing",
            "'test_components:nothing' cannot be imported: module 'test_components' has",
        ),
        (
            "no_such_module:smile",
            "'no_such_module:smile' cannot be imported: No module named 'no_such_module'",
        ),
        (
            "test_components:pytest",
            "'test_components:pytest' is a module; it must be a seedance_dagster.Score",
        ),
        ("test_components:MOTION", "two scores are named 'motion'"),
    ],
)
def test_a_score_that_cannot_be_used_is_named(sandbox, name, problem):
    """The message names the score that cannot be used, and the reason."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    attributes(sandbox, "video_api", scores=[name])
    with pytest.raises(Exception, match="building definitions") as caught, sandbox.build_all_defs():
        pass
    assert f"scores of SeedanceComponent: {problem}" in reasons(caught.value)


def test_an_unknown_score_of_a_set_is_an_error(sandbox):
    """An unknown score of a set is an error, since a component knows all scores."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    folder = sandbox.scaffold_component(PromptSetComponent, "launch")
    with (folder / "prompts.yaml").open("a") as file:
        file.write("scores: [smile]\n")
    with sandbox.build_all_defs() as defs:
        assert "launch/videos" in {key.to_user_string() for key in defs.resolve_all_asset_keys()}
        assert "launch/scores" not in {key.to_user_string() for key in defs.resolve_all_asset_keys()}


@pytest.mark.further
def test_post_processing_changes_the_assets(sandbox):
    """Owners, tags and automation are set as for any component."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    path = sandbox.scaffold_component(PromptSetComponent, "launch") / "defs.yaml"
    change = {"target": "key:launch/videos", "attributes": {"owners": ["team:films"]}}
    path.write_text(
        yaml.safe_dump(yaml.safe_load(path.read_text()) | {"post_processing": {"assets": [change]}})
    )
    with sandbox.build_all_defs() as defs:
        [videos] = [spec for spec in defs.resolve_all_asset_specs() if spec.key.path[-1] == "videos"]
        assert videos.owners == ["team:films"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seedance", {"budget_per_day": 20}, "unknown fields budget_per_day; allowed are"),
        ("video_store", {"buckets": "x"}, "video_store of SeedanceComponent: unknown fields buckets"),
        ("seedance", {"budget_usd_per_day": "{{ env.NOT_SET }}"}, "budget_usd_per_day has no value: set the"),
        ("ledger_url", "{{ env.NOT_SET }}", "SeedanceComponent: ledger_url has no value"),
    ],
)
def test_fields_without_effect_are_named(sandbox, field, value, message):
    """A field that is unknown, or whose variable is not set, is an error: a limit would be none."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    attributes(sandbox, "video_api", **{field: value})
    with pytest.raises(Exception, match="building definitions") as refused, sandbox.build_all_defs():
        pass
    assert message in reasons(refused.value)


def test_a_project_loads_before_its_variables_are_set(sandbox, monkeypatch):
    """Without a key and a bucket the scaffolded files load; runs say what is missing."""
    for name in ("GOAPI_API_KEY", "SEEDANCE_S3_BUCKET"):
        monkeypatch.delenv(name)
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    sandbox.scaffold_component(PromptSetComponent, "launch")
    with sandbox.build_all_defs() as defs:
        dg.Definitions.validate_loadable(defs)
        resource = defs.resources["seedance"].resource_fn(dg.build_init_resource_context())
        assert (resource.api_key, resource.budget_usd_per_day) == ("", 20)


def test_one_api_too_many_is_said_in_words(sandbox):
    """The error says to remove it, not to make another."""
    for name in ("video_api", "another_api"):
        sandbox.scaffold_component(SeedanceComponent, name)
    sandbox.scaffold_component(PromptSetComponent, "launch")
    with pytest.raises(Exception, match="building definitions") as refused, sandbox.build_all_defs():
        pass
    assert "need one SeedanceComponent in the project, and there are 2: remove the others" in reasons(
        refused.value
    )


def test_a_set_without_the_api_is_said_in_words(sandbox):
    """The error says which component is missing and how to make it."""
    sandbox.scaffold_component(PromptSetComponent, "launch")
    with pytest.raises(Exception, match="building definitions") as refused, sandbox.build_all_defs():
        pass
    assert "`dg scaffold defs seedance_dagster.SeedanceComponent seedance` makes one" in reasons(
        refused.value
    )


def test_two_sets_of_one_name_do_not_load(sandbox):
    """Dagster names the assets that both would make."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    for name in ("launch", "spring"):
        sandbox.scaffold_component(PromptSetComponent, name)
    first, second = (sandbox.defs_folder_path / name / "prompts.yaml" for name in ("launch", "spring"))
    second.write_text(first.read_text())
    with (
        pytest.raises(Exception, match="same key") as refused,
        sandbox.build_all_defs() as defs,
    ):
        dg.Definitions.validate_loadable(defs)
    assert "launch" in str(refused.value)


def test_a_set_may_be_made_by_an_asset(sandbox):
    """YAML names the asset and the set's defaults; an unknown field is named with the allowed ones."""
    sandbox.scaffold_component(SeedanceComponent, "video_api")
    sandbox.scaffold_component(PromptSetComponent, "launch")
    made = {"name": "launch", "asset": "team/written_prompts", "defaults": {"duration": 5}}
    attributes(sandbox, "launch", prompts="", from_asset=made)
    with sandbox.build_all_defs() as defs:
        upstream = dg.AssetSpec(["team", "written_prompts"])
        merged = dg.Definitions.merge(defs, dg.Definitions(assets=[upstream]))
        table = merged.resolve_asset_graph().get(dg.AssetKey(["launch", "prompt_table"]))
        assert table.parent_keys == {upstream.key}
        assert "seedance_read_prompts" in {job.name for job in merged.resolve_all_job_defs()}
    for wrong, message in (
        ({"prompts": "prompts.yaml", "from_asset": made}, "needs prompts or from_asset, and not both"),
        ({"prompts": "", "from_asset": made | {"model": "x"}}, "its fields are name, asset, path_metadata"),
    ):
        attributes(sandbox, "launch", **wrong)
        with pytest.raises(Exception, match="building definitions") as refused, sandbox.build_all_defs():
            pass
        assert message in reasons(refused.value)

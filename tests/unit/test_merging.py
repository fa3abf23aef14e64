"""Definitions beside a team's own, and beside a second set of them; how the assets look (case d4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg
import pytest

from seedance_dagster import (
    SeedanceResource,
    SeedanceTranslator,
    VideoStoreResource,
    build_seedance_definitions,
)


def build(folder, name: str, **options) -> dg.Definitions:
    """Build definitions of one prompt set."""
    (folder / name).mkdir()
    (folder / name / f"{name}.yaml").write_text(f"{{name: {name}, prompts: [{{id: cat, prompt: a cat}}]}}")
    return build_seedance_definitions(
        folder / name, seedance=SeedanceResource(), video_store=VideoStoreResource(bucket=name), **options
    )


def test_two_sets_of_definitions_merge_with_a_team_s_own(tmp_path):
    """A team's executor and its resource `ledger` collide with nothing, and neither do two of ours (d4)."""
    team = dg.Definitions(
        assets=[dg.AssetSpec("theirs")],
        resources={"ledger": object(), "video_store": object(), "s3": object()},
        executor=dg.multiprocess_executor,
    )
    merged = dg.Definitions.merge(
        build(tmp_path, "films"), build(tmp_path, "shorts", name_prefix="team_b"), team
    )
    dg.Definitions.validate_loadable(merged)
    assert merged.executor is dg.multiprocess_executor
    jobs = {job.name for job in merged.resolve_all_job_defs()}
    ours = {"seedance_advance", "seedance_order_pending", "seedance_check_videos", "seedance_plan"}
    ours.add("seedance_score")
    assert jobs >= ours | {f"team_b_{name}" for name in ours}
    assert [sensor.name for sensor in merged.sensors] == ["seedance_sensor", "team_b_seedance_sensor"]
    # So that the page of each asset shows the sensor.
    targets = [{job.name for job in sensor.jobs} for sensor in merged.sensors]
    assert "generate_films" in targets[0]
    assert "team_b_generate_shorts" in targets[1]
    keys = {key.to_user_string() for key in merged.resolve_all_asset_keys()}
    assert keys >= {"films/videos", "shorts/videos", "seedance_prompt_files", "team_b_seedance_prompt_files"}
    with dg.build_resources(dict(merged.resources)) as resources:
        assert resources.seedance_video_store.bucket == "films"
        assert resources.team_b_seedance_video_store.bucket == "shorts"


def test_each_of_two_starts_its_own_jobs(tmp_path, monkeypatch):
    """Each of two sets of definitions starts jobs of its own, whose config names its own op."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    defs = dg.Definitions.merge(
        build(tmp_path, "films"), build(tmp_path, "shorts", name_prefix="team_b", sensor_running=False)
    )
    job = defs.resolve_job_def("team_b_seedance_plan")
    with dg.DagsterInstance.local_temp(
        str(tmp_path), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        config = {"ops": {"team_b_plan": {"config": {"set": "films"}}}}
        done = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
    [failure] = [event for event in done.all_events if event.is_step_failure]
    assert "there is no prompt set 'films'; allowed are shorts" in str(failure.step_failure_data)


def test_a_prefix_that_dagster_does_not_allow_is_refused(tmp_path):
    """The message says what is allowed."""
    with pytest.raises(ValueError, match="name_prefix is 'team-b'; allowed are letters, digits and _"):
        build(tmp_path, "films", name_prefix="team-b")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"prompt_sets": ["a.yaml", "b.yaml"]},
            r"prompt_sets\[0\] is a str; .* For several files, pass the fol",
        ),
        ({"prompt_sets": None}, "prompt_sets is a NoneType; allowed are a file, a folder"),
        ({"prompt_sets": ""}, "prompt_sets is empty; allowed are a file, a folder"),
        ({"seedance": "secret"}, r"^seedance is a str; allowed is a SeedanceResource\(...\)$"),
        ({"video_store": "videos"}, r"^video_store is a str; allowed is a VideoStoreResource\(...\)$"),
        ({"ledger": "sqlite:////secret"}, r"^ledger is a str; allowed is a LedgerResource\(...\)$"),
        ({"ledger": ""}, "^ledger is a str"),
        ({"max_partitions_per_run": 0}, "max_partitions_per_run is 0; allowed are whole numbers from 1"),
    ],
)
def test_an_argument_of_another_kind_is_named(arguments, words):
    """The message says what to pass, and shows no value, which may be a secret."""
    valid = {
        "prompt_sets": (),
        "seedance": SeedanceResource(),
        "video_store": VideoStoreResource(bucket="videos"),
    }
    with pytest.raises((TypeError, ValueError), match=words):
        build_seedance_definitions(**valid | arguments)


class Ours(SeedanceTranslator):
    """A translator that changes the assets as a team might."""

    def get_group_name(self, prompt_set: str, spec: dg.AssetSpec) -> str:
        return "marketing"

    def get_owners(self, prompt_set: str, spec: dg.AssetSpec) -> Sequence[str]:
        return [f"team:{prompt_set}"]

    def get_tags(self, prompt_set: str, spec: dg.AssetSpec) -> Mapping[str, str]:
        return {"tier": "gold"}

    def get_kinds(self, prompt_set: str, spec: dg.AssetSpec) -> set[str]:
        return {*spec.kinds, "seedance"}

    def get_metadata(self, prompt_set: str, spec: dg.AssetSpec) -> Mapping[str, object]:
        return {**spec.metadata, "wiki": "https://wiki.example.com"}

    def get_description(self, prompt_set: str, spec: dg.AssetSpec) -> str:
        return f"Ours. {spec.description}"

    def get_automation_condition(
        self, prompt_set: str, spec: dg.AssetSpec
    ) -> dg.AutomationCondition[dg.AssetKey] | None:
        return dg.AutomationCondition.eager() if spec.key.path[-1] == "index" else None


def test_a_translator_changes_how_assets_look_and_nothing_else(tmp_path):
    """Group, owners, tags, kinds, metadata, description and automation; keys and lineage stay."""
    specs = {
        spec.key.path[-1]: spec
        for spec in build(tmp_path, "films", translator=Ours()).resolve_all_asset_specs()
        if spec.key.path[0] == "films"
    }
    videos, index = specs["videos"], specs["index"]
    assert (videos.group_name, list(videos.owners)) == ("marketing", ["team:films"])
    assert videos.tags["tier"] == "gold"
    assert videos.kinds == {"s3", "mp4", "seedance"}
    assert videos.metadata["wiki"] == "https://wiki.example.com"
    assert videos.metadata["dagster/io_manager_key"] == "seedance_videos"
    assert str(videos.description).startswith("Ours. The finished videos in S3")
    assert videos.skippable
    assert {dep.asset_key.path[-1] for dep in videos.deps} == {"prompts", "tasks"}
    assert videos.automation_condition is None
    assert index.automation_condition is not None

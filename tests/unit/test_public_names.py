"""The names that a team imports, which load nothing heavy until they are used."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

import seedance_dagster

NAMES = {
    "LedgerResource",
    "PromptSet",
    "PromptSetComponent",
    "PromptsFromAsset",
    "Score",
    "SeedanceComponent",
    "SeedanceResource",
    "SeedanceTranslator",
    "Video",
    "VideoStoreResource",
    "build_seedance_definitions",
    "load_prompt_sets",
    "prompt_partitions",
}
HEAVY = ("dagster", "boto3", "sqlalchemy", "httpx", "aiohttp", "av", "pydantic", "yaml")


def test_the_package_exports_its_public_names():
    """Each public name can be imported, and any other raises an ordinary error."""
    assert set(seedance_dagster.__all__) == NAMES
    for name in NAMES:
        assert getattr(seedance_dagster, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = seedance_dagster.Nothing


def test_importing_the_package_imports_nothing_heavy():
    """Importing the package costs nothing until one of its names is used."""
    code = f"import sys, seedance_dagster; print([each for each in {HEAVY} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "scores", [pytest.param("[]", marks=pytest.mark.further), '[cuts, phash, motion: ">=0.1"]']
)
def test_loading_definitions_imports_nothing_that_only_runs_need(tmp_path, scores):
    """Libraries for HTTP, SQL, S3 and video are imported by the first step or tick."""
    text = f"{{name: spots, scores: {scores}, prompts: [{{id: cat, prompt: a cat}}]}}"
    (tmp_path / "spots.yaml").write_text(text)
    late = ("aiohttp", "httpx", "sqlalchemy", "boto3", "dagster_aws", "av", "pyarrow")
    code = (
        "import sys; from seedance_dagster.defs.definitions import definitions_from_environ; "
        f"definitions_from_environ({{'SEEDANCE_PROMPTS': {str(tmp_path)!r}}}); "
        f"print([each for each in {late} if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_team_builds_its_own_code_location(tmp_path, monkeypatch):
    """A folder of prompt sets, a key and a bucket are enough for the definitions."""
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    monkeypatch.delenv("GOAPI_API_KEY", raising=False)
    from seedance_dagster import SeedanceResource, VideoStoreResource, build_seedance_definitions

    defs = build_seedance_definitions(
        tmp_path,
        seedance=SeedanceResource(api_key=dg.EnvVar("GOAPI_API_KEY")),
        video_store=VideoStoreResource(bucket="videos"),
    )
    names = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    assert names >= {"spots/prompts", "spots/tasks", "spots/videos"}
    assert defs.executor is None, "it is the team's to choose"
    assert set(defs.resources) == {
        "seedance",
        "seedance_video_store",
        "seedance_ledger",
        "seedance_cleanup",
        "seedance_videos",
    }
    assert [job.name for job in defs.jobs].count("seedance_advance") == 1
    assert [sensor.name for sensor in defs.sensors] == ["seedance_sensor"]
    # They merge with a team's own definitions.
    own = dg.Definitions(assets=[dg.AssetSpec("theirs")], executor=dg.multiprocess_executor)
    merged = dg.Definitions.merge(defs, own)
    assert merged.executor is dg.multiprocess_executor
    assert dg.AssetKey("theirs") in merged.resolve_all_asset_keys()


def test_the_sensor_can_be_left_off(tmp_path):
    """With sensor_running=False the sensor is off until it is switched on."""
    from seedance_dagster import SeedanceResource, VideoStoreResource, build_seedance_definitions

    defs = build_seedance_definitions(
        [], seedance=SeedanceResource(), video_store=VideoStoreResource(), sensor_running=False
    )
    [sensor] = defs.sensors
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED

"""Misspelled environment variables are found, and nothing else is taken for one."""

from __future__ import annotations

import pytest

from seedance_dagster.defs.definitions import definitions_from_environ
from seedance_dagster.settings import Settings
from seedance_dagster.variables import misspelled


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SEEDANCE_PROMPT", "SEEDANCE_PROMPTS"),
        ("SEEDANCE_S3_BUKCET", "SEEDANCE_S3_BUCKET"),
        ("SEEDANCE_BUCKET", "SEEDANCE_S3_BUCKET"),
        ("SEEDANCE_MAX_INFLIGHT", "SEEDANCE_MAX_IN_FLIGHT"),
        ("SEEDANCE_BUDGET_PER_DAY", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("SEEDANCE_BUDGET_USD_A_DAY", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("SEEDANCE_DAILY_BUDGET_USD", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("SEEDANCE_BUDGET", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("SEEDANCE_MAX_COST", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("SEEDANCE_SPEND_LIMIT", "SEEDANCE_BUDGET_USD_PER_DAY"),
        ("GOAPI_KEY", "GOAPI_API_KEY"),
        ("SEEDANCE_API_KEY", "GOAPI_API_KEY"),
        ("SEADANCE_PROMPTS", "SEEDANCE_PROMPTS"),
        ("seedance_prompts", "SEEDANCE_PROMPTS"),
    ],
)
def test_a_name_that_is_close_is_said_with_the_one_that_was_meant(name, meant):
    """The value of neither is shown: it may be a secret."""
    assert misspelled({name: "hidden"}) == [f"{name} is not a setting and has no effect; {meant} is one"]


def test_other_names_are_no_matter():
    """Settings themselves, what is empty, variables of others and names that resemble nothing."""
    settings = {str(field.validation_alias): "set" for field in Settings.model_fields.values()}
    others = (
        "SEEDANCE_TEAM",
        "SEEDANCE_SLACK_CHANNEL",
        "AWS_PROFILES",
        "TEAM_BUDGET_USD",
        "MY_PROMPTS",
        "SEEDANCE_DEV_FOLDER",
    )
    assert misspelled(settings | dict.fromkeys(others, "set") | {"SEEDANCE_PROMPT": " "}) == []


def test_the_log_of_a_code_location_names_it(tmp_path, caplog, monkeypatch):
    """The log of a code location names a misspelled variable, and the location loads."""
    monkeypatch.chdir(tmp_path)
    definitions_from_environ({"SEEDANCE_S3_BUKET": "videos"})
    assert "SEEDANCE_S3_BUKET is not a setting and has no effect; SEEDANCE_S3_BUCKET is one" in caplog.text

"""The environment of the contract, and the definitions that are made of it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from seedance_dagster.defs.definitions import definitions_from_environ
from seedance_dagster.defs.policy import default_ledger_url
from seedance_dagster.settings import SettingError, Settings

ENVIRON = {
    "GOAPI_API_KEY": " sk-secret ",
    "GOAPI_BASE_URL": "https://api.example.com",
    "SEEDANCE_PROMPTS": "s3://prompts/sets",
    "SEEDANCE_S3_BUCKET": "videos",
    "SEEDANCE_S3_PREFIX": "team/a",
    "SEEDANCE_LEDGER_URL": "postgresql://me:db-secret@db/ledger",
    "SEEDANCE_MAX_IN_FLIGHT": " 20 ",
    "SEEDANCE_OFF_PEAK_ONLY": "True",
    "DAGSTER_HOME": "/home/dagster",
}


def test_every_variable_is_read():
    """Each name of the contract sets what it says."""
    found = Settings.from_environ(ENVIRON)
    assert found.api_key.get_secret_value() == "sk-secret"
    assert found.base_url == "https://api.example.com"
    assert found.prompts == "s3://prompts/sets"
    assert (found.s3_bucket, found.s3_prefix) == ("videos", "team/a")
    assert found.ledger_url == "postgresql://me:db-secret@db/ledger"
    assert (found.max_in_flight, found.off_peak_only) == (20, True)
    assert found.policy().max_in_flight == 20
    assert found.policy().off_peak_only


@pytest.mark.parametrize("empty", [{}, dict.fromkeys(ENVIRON, "")], ids=["unset", "empty"])
def test_nothing_needs_to_be_set(empty, tmp_path, monkeypatch):
    """Unset or empty, every variable has the default of the contract."""
    monkeypatch.chdir(tmp_path)
    found = Settings.from_environ(empty)
    assert found.api_key.get_secret_value() == ""
    assert found.base_url == "https://api.goapi.ai"
    assert found.prompts == "prompt_sets"
    assert (found.s3_bucket, found.s3_prefix) == ("", "seedance")
    assert found.ledger_url == f"sqlite:///{tmp_path}/seedance/ledger.db"
    assert (found.max_in_flight, found.off_peak_only) == (None, False)


def test_the_ledger_is_under_dagster_home():
    """Without a URL the ledger is a SQLite file under DAGSTER_HOME."""
    found = Settings.from_environ({"DAGSTER_HOME": "/home/dagster"})
    assert found.ledger_url == "sqlite:////home/dagster/seedance/ledger.db"
    assert default_ledger_url(Path("/x")) == "sqlite:////x/seedance/ledger.db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEEDANCE_MAX_IN_FLIGHT", "0"),
        ("SEEDANCE_MAX_IN_FLIGHT", "-3"),
        ("SEEDANCE_MAX_IN_FLIGHT", "2.5"),
        ("SEEDANCE_MAX_IN_FLIGHT", "many"),
        ("SEEDANCE_OFF_PEAK_ONLY", "maybe"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_is_allowed(name, value):
    """The error names the variable, the value and the allowed ones."""
    with pytest.raises(SettingError) as caught:
        Settings.from_environ({name: value})
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "must be" in str(caught.value)


def test_a_password_in_the_base_url_is_refused_unseen():
    """The UI shows the base URL, so it may hold no secret; the error does not repeat it."""
    with pytest.raises(SettingError, match="GOAPI_BASE_URL must hold no user and no password") as caught:
        Settings.from_environ({"GOAPI_BASE_URL": "https://me:s3cret@api.example.com"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("true", True), ("1", True), ("YES", True), ("false", False), ("0", False), ("no", False)],
)
def test_the_usual_words_for_true_and_false(word, meaning):
    """True and false may be written in the usual ways."""
    assert Settings.from_environ({"SEEDANCE_OFF_PEAK_ONLY": word}).off_peak_only is meaning


def test_no_secret_shows_in_a_repr():
    """Key and ledger password are not in what a log or traceback may print."""
    shown = repr(Settings.from_environ(ENVIRON))
    assert "secret" not in shown.replace("SecretStr", "")
    assert "db-secret" not in shown


def test_the_reference_definitions_hold_names_of_secrets_only(tmp_path):
    """Dagster is given the variables that hold key and ledger URL, not what they hold."""
    defs = definitions_from_environ(ENVIRON | {"SEEDANCE_PROMPTS": str(tmp_path)})
    seedance, ledger = defs.resources["seedance"], defs.resources["ledger"]
    assert seedance.api_key == dg.EnvVar("GOAPI_API_KEY")
    assert ledger.url == dg.EnvVar("SEEDANCE_LEDGER_URL")
    everything = repr(defs) + repr(seedance) + repr(ledger)
    assert "sk-secret" not in everything
    assert "db-secret" not in everything
    assert repr(defs.resources["video_store"]) == "VideoStoreResource('videos/team/a')"


def test_the_reference_definitions_load_with_nothing_set(tmp_path, caplog, monkeypatch):
    """No key, no bucket, no prompts: the location loads all the same, and the log says what is missing."""
    monkeypatch.chdir(tmp_path)
    defs = definitions_from_environ({})
    assert defs.resolve_job_def("seedance_advance")
    [sensor] = defs.sensors
    assert sensor.name == "seedance_sensor"
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert "prompt_sets: there is no such file or folder" in caplog.text

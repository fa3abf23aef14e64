"""Who switches the preflight on and off, and who allows private addresses."""

from __future__ import annotations

import pytest

from seedance_dagster import SeedanceResource
from seedance_dagster.defs.definitions import resources_of
from seedance_dagster.settings import SettingError, Settings

PUBLIC, LOCAL = "https://api.example.com", "http://127.0.0.1:8010"


@pytest.mark.parametrize(
    ("base_url", "option", "on"),
    [
        (PUBLIC, None, True),
        (LOCAL, None, False),
        (PUBLIC, False, False),
        (LOCAL, True, True),
        (PUBLIC, "off", False),
        (LOCAL, "on", True),
    ],
)
def test_it_is_on_unless_the_api_is_on_this_machine(base_url, option, on):
    """The option switches the preflight; by default it is on for a public API and off for a local one."""
    assert SeedanceResource(base_url=base_url, preflight=option).policy().preflight is on


@pytest.mark.parametrize(
    ("base_url", "value", "on"),
    [(PUBLIC, "", True), (LOCAL, "", False), (PUBLIC, "off", False), (LOCAL, " ON ", True)],
)
def test_the_environment_switches_it(base_url, value, on):
    """SEEDANCE_PREFLIGHT counts for the command line and for the reference definitions alike."""
    environ = {"GOAPI_BASE_URL": base_url, "SEEDANCE_PREFLIGHT": value, "SEEDANCE_PROMPTS": "prompt_sets"}
    assert Settings.from_environ(environ).policy().preflight is on
    assert resources_of(Settings.from_environ(environ), environ)[0].policy().preflight is on


@pytest.mark.parametrize(
    ("base_url", "value", "allowed"),
    [(PUBLIC, "", False), (LOCAL, "", True), (PUBLIC, "on", True), (LOCAL, "off", False)],
)
def test_private_addresses_are_allowed_by_word(base_url, value, allowed):
    """SEEDANCE_ALLOW_PRIVATE_HOSTS decides; without it only an API on this machine links to such."""
    environ = {
        "GOAPI_BASE_URL": base_url,
        "SEEDANCE_ALLOW_PRIVATE_HOSTS": value,
        "SEEDANCE_PROMPTS": "prompt_sets",
    }
    assert Settings.from_environ(environ).policy().allow_private_hosts is allowed
    assert resources_of(Settings.from_environ(environ), environ)[0].policy().allow_private_hosts is allowed


def test_another_word_is_refused():
    """A word that is neither is named with what is allowed."""
    with pytest.raises(SettingError, match="SEEDANCE_PREFLIGHT: 'maybe' is not true or false; allowed are"):
        Settings.from_environ({"SEEDANCE_PREFLIGHT": "maybe"})

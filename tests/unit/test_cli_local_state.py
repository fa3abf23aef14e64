"""Commands beside `dev` and `demo` find what these use."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import click
import pytest

from seedance_dagster.cli.environ import command_environ, use_env_file
from seedance_dagster.cli.local.state_dir import announced
from seedance_dagster.cli.root import root


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"SHELL_S3": "mine", "AWS_PROFILE": "mine"})
    return tmp_path


def keep(name: str, text: str, *, at: int = 0) -> Path:
    path = Path(".seedance") / name / "env"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def test_what_dev_uses_is_found(capsys):
    """Values of `dev` win over those of the shell, and standard error names their file."""
    keep("emulator", "export DAGSTER_HOME='/it'\"'\"'s here'\nunset AWS_PROFILE\n")
    environ = command_environ()
    assert (environ["DAGSTER_HOME"], environ.get("AWS_PROFILE")) == ("/it's here", None)
    assert capsys.readouterr().err == "Using .seedance/emulator/env\n"


def test_the_last_start_counts():
    """The data of the last start of `dev` are used, the emulator's or those of the real API."""
    keep("emulator", "export DAGSTER_HOME=/emulator\n", at=2)
    keep("live", "export DAGSTER_HOME=/live\n", at=1)
    assert command_environ()["DAGSTER_HOME"] == "/emulator"


def test_with_a_key_only_the_data_of_the_real_api_are_used(monkeypatch):
    """With a key only the data of the real API are used, never the emulator's."""
    keep("emulator", "export DAGSTER_HOME=/emulator\n", at=2)
    monkeypatch.setitem(os.environ, "GOAPI_API_KEY", "k")
    assert "DAGSTER_HOME" not in command_environ()
    keep("live", "export DAGSTER_HOME=/live\n", at=1)
    assert command_environ()["DAGSTER_HOME"] == "/live"


@pytest.mark.parametrize("name", ["DAGSTER_HOME", "SEEDANCE_LEDGER_URL"])
def test_a_ledger_that_the_environment_names_is_the_one(monkeypatch, name):
    """A ledger that the environment names is used, whatever folders exist."""
    keep("live", "export DAGSTER_HOME=/live\n")
    monkeypatch.setitem(os.environ, name, "mine")
    assert command_environ()[name] == "mine"


def test_a_demo_is_found_while_it_runs(folder):
    """A demo is found while it runs; a killed one is ignored, and an ended one leaves nothing."""
    used = {"DAGSTER_HOME": "/demo"}
    with announced(Path(".seedance"), {}, used) as is_announced:
        assert is_announced
        assert command_environ()["DAGSTER_HOME"] == "/demo"
        with announced(Path(".seedance"), {}, used) as second:
            assert not second
    assert list(folder.iterdir()) == []
    os.environ.pop("DAGSTER_HOME")
    keep("demo", "export DAGSTER_HOME=/demo\n").with_name("lock").touch()
    assert "DAGSTER_HOME" not in command_environ()


def test_a_file_can_be_named(folder):
    """`--env-file` wins over the environment and over what is found."""
    keep("live", "export DAGSTER_HOME=/live\n")
    (folder / "mine.env").write_text(
        "\ufeff# a comment\nAWS_PROFILE=other\nSEEDANCE_LEDGER_URL=sqlite:////x.db\n"
    )
    use_env_file(folder / "mine.env")
    environ = command_environ()
    assert (environ["AWS_PROFILE"], environ.get("DAGSTER_HOME")) == ("other", None)


@pytest.mark.parametrize("text", ["rm -rf x", "'open", "\xff"])
def test_a_file_with_something_else_is_refused_without_quoting_it(folder, text):
    """A file with anything else is refused; nothing of it is run or shown, since it may hold secrets."""
    (folder / "odd").write_bytes(f"A=1\n{text}\n".encode("latin-1"))
    with pytest.raises(click.ClickException, match="odd") as caught:
        use_env_file(folder / "odd")
    assert text not in caught.value.message


def test_the_help_of_each_command_ends_with_an_example():
    """The help of each command ends with an example."""
    without = []
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        below = command.commands.values() if isinstance(command, click.Group) else ()
        pages = [command.epilog] if command.epilog else [subcommand.epilog for subcommand in below]
        if not pages or not all(f"  seedance-dagster {name}" in (page or "") for page in pages):
            without.append(name)
    assert without == []


def test_the_lock_of_a_folder_can_be_read_by_others():
    """The lock of a folder can be read by others, so a running demo is seen as running."""
    keep("demo", "export DAGSTER_HOME=/demo\n")
    with Path(".seedance/demo/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert command_environ()["DAGSTER_HOME"] == "/demo"

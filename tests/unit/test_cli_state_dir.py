"""The decisions of `dev` from the environment, and the data that it keeps."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import click
import pytest

from seedance_dagster.cli.environ import for_children, project_environ, unconfigured
from seedance_dagster.cli.local.state_dir import StateDir


def test_without_a_key_the_emulator_is_used_and_kept_apart(tmp_path: Path) -> None:
    """The emulator's orders and videos never share a ledger or a prefix with those that were paid for."""
    state = StateDir.for_environ(
        tmp_path,
        {
            "SEEDANCE_LEDGER_URL": "sqlite:///real.db",
            "SEEDANCE_S3_BUCKET": "ours",
            "SEEDANCE_S3_PREFIX": "films",
        },
    )
    assert state.emulated
    assert not state.embedded_s3
    assert state.folder == tmp_path / "emulator"
    assert "SEEDANCE_LEDGER_URL" not in state.environ
    assert state.environ["SEEDANCE_S3_PREFIX"] == "films-emulator"


def test_with_a_key_the_real_api_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths keep their meaning, although Dagster runs in another folder."""
    monkeypatch.chdir(tmp_path)
    state = StateDir.for_environ(
        Path(".seedance"), {"GOAPI_API_KEY": "k", "SEEDANCE_LEDGER_URL": "sqlite:///real.db"}
    )
    assert not state.emulated
    assert state.embedded_s3
    assert state.folder == tmp_path / ".seedance" / "live"
    assert state.environ["SEEDANCE_LEDGER_URL"] == f"sqlite:///{tmp_path}/real.db"
    assert state.environ["SEEDANCE_PROMPTS"] == str(tmp_path / "prompt_sets")
    assert "costs money" in state.summary()


def test_two_dev_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    """A second `dev` on the same folder is refused while the first runs."""
    state = StateDir.for_environ(tmp_path, {})
    with (
        state.locked(),
        pytest.raises(click.ClickException, match="another `seedance-dagster dev` is running"),
        state.locked(),
    ):
        pass
    with state.locked():
        pass


def test_the_env_file_has_what_was_decided_and_no_secret_of_the_user(tmp_path: Path) -> None:
    """A shell that sources the file uses the folder; the user's own values are not in the file."""
    environ = {"GOAPI_API_KEY": "secret", "SEEDANCE_LEDGER_URL": "sqlite:///x.db"}
    state = StateDir.for_environ(tmp_path / "it's here", environ)
    state.write_env_file(environ, {"GOAPI_API_KEY": "secret", "DAGSTER_HOME": "/a b"})
    assert "secret" not in state.env_file.read_text()
    assert stat.S_IMODE(state.env_file.stat().st_mode) == 0o600
    output = subprocess.run(
        [
            "sh",
            "-c",
            '. "$0"; echo "$DAGSTER_HOME|$SEEDANCE_LEDGER_URL|$SEEDANCE_DEV_FOLDER"',
            state.env_file,
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"SEEDANCE_LEDGER_URL": "sqlite:///x.db"},
    ).stdout
    assert output == f"/a b||{state.folder}\n"


def test_dev_does_not_start_in_a_terminal_that_sourced_the_env_file(tmp_path: Path) -> None:
    """The variables of the file would look like the user's own bucket and key."""
    with pytest.raises(click.ClickException, match="in a new one"):
        StateDir.for_environ(tmp_path, {"SEEDANCE_DEV_FOLDER": "/somewhere"})


def test_the_projects_env_file_fills_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in `.env` counts where the environment does not have it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GOAPI_API_KEY=from-file\nSEEDANCE_S3_BUCKET=from-file\n")
    monkeypatch.setattr("os.environ", {"SEEDANCE_S3_BUCKET": "from-environment"})
    environ = project_environ()
    assert environ["GOAPI_API_KEY"] == "from-file"
    assert environ["SEEDANCE_S3_BUCKET"] == "from-environment"
    monkeypatch.setattr("os.environ", {"SEEDANCE_DEV_FOLDER": "/somewhere"})
    assert "GOAPI_API_KEY" not in project_environ()


def test_the_demo_sees_no_account(tmp_path: Path) -> None:
    """None of the user's settings reaches the demo, and its programs use no proxy between them."""
    environ = {"PATH": "/bin", "GOAPI_API_KEY": "k", "AWS_PROFILE": "p", "SEEDANCE_OFF_PEAK_ONLY": "true"}
    assert unconfigured(environ) == {"PATH": "/bin"}
    assert for_children({"NO_PROXY": "intra"})["NO_PROXY"] == "intra,127.0.0.1,localhost"

"""What `dev` decides from the environment, and what it keeps."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import click
import pytest

from seedance_dagster.cli.environ import for_children, project_environ, unconfigured
from seedance_dagster.cli.local.state_dir import StateDir


def test_without_a_key_the_emulator_is_used_apart_from_real_orders(tmp_path: Path) -> None:
    """The emulator's orders and videos never meet a ledger or a prefix that holds bought ones."""
    place = StateDir.for_environ(
        tmp_path,
        {
            "SEEDANCE_LEDGER_URL": "sqlite:///real.db",
            "SEEDANCE_S3_BUCKET": "ours",
            "SEEDANCE_S3_PREFIX": "films",
        },
    )
    assert place.emulated
    assert not place.embedded_s3
    assert place.folder == tmp_path / "emulator"
    assert "SEEDANCE_LEDGER_URL" not in place.environ
    assert place.environ["SEEDANCE_S3_PREFIX"] == "films-emulator"


def test_with_a_key_the_real_service_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths keep their meaning although Dagster runs in another folder."""
    monkeypatch.chdir(tmp_path)
    place = StateDir.for_environ(
        Path(".seedance"), {"GOAPI_API_KEY": "k", "SEEDANCE_LEDGER_URL": "sqlite:///real.db"}
    )
    assert not place.emulated
    assert place.embedded_s3
    assert place.folder == tmp_path / ".seedance" / "live"
    assert place.environ["SEEDANCE_LEDGER_URL"] == f"sqlite:///{tmp_path}/real.db"
    assert place.environ["SEEDANCE_PROMPTS"] == str(tmp_path / "prompt_sets")
    assert "costs money" in place.summary()


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second `dev` on the same folder is refused while the first runs."""
    place = StateDir.for_environ(tmp_path, {})
    with place.locked(), pytest.raises(click.ClickException, match="another"), place.locked():
        pass
    with place.locked():
        pass


def test_env_file_sets_what_was_decided_and_no_secret_of_the_user(tmp_path: Path) -> None:
    """A shell that reads the file sees the work; the user's own values are not written down."""
    found = {"GOAPI_API_KEY": "secret", "SEEDANCE_LEDGER_URL": "sqlite:///x.db"}
    place = StateDir.for_environ(tmp_path / "it's here", found)
    place.remember_environ(found, {"GOAPI_API_KEY": "secret", "DAGSTER_HOME": "/a b"})
    assert "secret" not in place.env_file.read_text()
    assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600
    said = subprocess.run(
        [
            "sh",
            "-c",
            '. "$0"; echo "$DAGSTER_HOME|$SEEDANCE_LEDGER_URL|$SEEDANCE_DEV_FOLDER"',
            place.env_file,
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"SEEDANCE_LEDGER_URL": "sqlite:///x.db"},
    ).stdout
    assert said == f"/a b||{place.folder}\n"


def test_dev_is_refused_in_a_terminal_that_read_the_env_file(tmp_path: Path) -> None:
    """What is there would be taken for the user's own bucket and key."""
    with pytest.raises(click.ClickException, match="fresh one"):
        StateDir.for_environ(tmp_path, {"SEEDANCE_DEV_FOLDER": "/somewhere"})


def test_env_file_of_the_project_fills_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` counts where the environment says nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GOAPI_API_KEY=from-file\nSEEDANCE_S3_BUCKET=from-file\n")
    monkeypatch.setattr("os.environ", {"SEEDANCE_S3_BUCKET": "from-environment"})
    environ = project_environ()
    assert environ["GOAPI_API_KEY"] == "from-file"
    assert environ["SEEDANCE_S3_BUCKET"] == "from-environment"
    monkeypatch.setattr("os.environ", {"SEEDANCE_DEV_FOLDER": "/somewhere"})
    assert "GOAPI_API_KEY" not in project_environ()


def test_the_demo_sees_no_account(tmp_path: Path) -> None:
    """Nothing of the user's settings reaches the demo, and no proxy stands between its programs."""
    environ = {"PATH": "/bin", "GOAPI_API_KEY": "k", "AWS_PROFILE": "p", "SEEDANCE_OFF_PEAK_ONLY": "true"}
    assert unconfigured(environ) == {"PATH": "/bin"}
    assert for_children({"NO_PROXY": "intra"})["NO_PROXY"] == "intra,127.0.0.1,localhost"

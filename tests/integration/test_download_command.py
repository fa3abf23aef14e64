"""The commands `download` and `open`, on videos in S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from seedance_dagster.cli.root import root

pytestmark = pytest.mark.integration


@pytest.fixture
def run(start_engine, s3_server, tmp_path, monkeypatch) -> Callable[..., Result]:
    """A project with two stored videos of the set `spots`, and a command to run there."""
    with start_engine() as engine:
        engine.run(engine.place("a cat", "a dog"))
        prefix = engine.services.store.prefix
        url = f"sqlite:///{engine.folder}/ledger.db"
    settings = s3_server.environ | {"SEEDANCE_LEDGER_URL": url, "SEEDANCE_S3_PREFIX": prefix}
    monkeypatch.setattr("os.environ", settings)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(root, arguments)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_set_is_downloaded_once(run, tmp_path):
    """Each partition is a file of its own; a second call changes neither it nor a file of the team's."""
    done = run("download", "spots", "out")
    assert done.exit_code == 0, done.output
    first = hashes(tmp_path / "out")
    assert first.keys() == {"p0.mp4", "p1.mp4"}
    assert first["p0.mp4"] != first["p1.mp4"]
    again = run("download", "spots", "out", "--json")
    assert json.loads(again.stdout) == {
        "files": dict.fromkeys(("p0", "p1"), "is there already"),
        "missing": [],
    }
    (tmp_path / "out" / "p1.mp4").write_bytes(b"the team's own")
    refused = run("download", "spots", "out")
    assert refused.exit_code == 1
    assert "p1.mp4 was not written: another file of this name is there" in refused.output
    assert (tmp_path / "out" / "p1.mp4").read_bytes() == b"the team's own"


@pytest.mark.further
def test_partitions_without_a_video_are_named(run, tmp_path):
    """Partitions without a video are named, the others written; an unknown set names the known ones."""
    done = run("download", "spots", "p0", "p7", "out")
    assert (done.exit_code, list(hashes(tmp_path / "out"))) == (1, ["p0.mp4"])
    assert "spots: p7 has no video" in done.output
    unknown = run("download", "sports", "out")
    assert unknown.exit_code == 1
    assert "no prompt set 'sports' has a video; these have some: spots" in unknown.output


@pytest.mark.further
def test_a_partition_is_not_taken_for_the_folder(run, tmp_path):
    """A call without the folder downloads nothing, unless there is a folder of that name."""
    forgotten = run("download", "spots", "p0")
    assert forgotten.exit_code == 2
    assert "p0 is a partition of spots: name the folder as well" in forgotten.output
    assert not (tmp_path / "p0").exists()
    (tmp_path / "p0").mkdir()
    assert run("download", "spots", "p0").exit_code == 0
    assert len(hashes(tmp_path / "p0")) == 2


def test_a_link_shows_the_video(run, tmp_path):
    """`open --print` prints a link that anybody can read."""
    run("download", "spots", "p0", "out")
    done = run("open", "spots", "p0", "--print")
    assert done.exit_code == 0, done.output
    content = httpx.get(done.stdout.strip(), trust_env=False).content
    assert content == (tmp_path / "out" / "p0.mp4").read_bytes()
    assert "p9 has no video" in run("open", "spots", "p9").output

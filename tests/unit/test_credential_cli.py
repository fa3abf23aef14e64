"""The commands `credential read` and `credential test-chain`: their output and exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from credential_support import NOW, PROVENANCE, flipped, signer_of
from media_support import make_clip

from seedance_dagster.cli.local.state_dir import StateDir
from seedance_dagster.cli.root import root
from seedance_dagster.media.credentials.chain import Chain


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, Path]:
    """A chain made by the command, and a video that it signed."""
    folder = tmp_path_factory.mktemp("made")
    done = run("test-chain", str(folder / "chain"))
    assert done.exit_code == 0, done.output
    files = (folder / "chain" / f"{name}.pem" for name in ("root", "certificate", "key"))
    chain, (plain, signed) = Chain(*files), (folder / "plain.mp4", folder / "signed.mp4")
    assert done.stdout == (
        f"export SEEDANCE_C2PA_CERTIFICATE={chain.certificate}\nexport SEEDANCE_C2PA_KEY={chain.key}\n"
    )
    plain.write_bytes(make_clip())
    signer_of(chain, include_prompt=True).sign(plain, signed, PROVENANCE, now=NOW)
    return chain, signed


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["credential", *arguments])


def test_a_signed_video_is_read(made):
    """Without roots its signer is not trusted, which is not an error; with the root it is."""
    chain, signed = made
    alone, trusted = run("read", str(signed)), run("read", str(signed), "--trust", str(chain.root))
    assert (alone.exit_code, trusted.exit_code) == (0, 0)
    assert "State         valid: unchanged since it was signed; the signer is not trusted" in alone.stdout
    assert "State         trusted: " in trusted.stdout
    for words in ("task-1", "seedance-2-fast", f"sha256 {'ab' * 32}", "a secret cat", "test signer"):
        assert words in trusted.stdout
    document = json.loads(run("read", str(signed), "--json").stdout)
    assert (document["state"], document["task_id"], document["ingredients"]) == ("valid", "task-1", [])


def test_an_invalid_credential_exits_with_1(made, tmp_path):
    """Changed bytes, an untrusted signer, no credential and a file that is not an mp4 exit with 1."""
    chain, signed = made
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(flipped(signed.read_bytes()))
    done = run("read", str(changed), "--trust", str(chain.root))
    assert (done.exit_code, "State         invalid: " in done.stdout) == (1, True)
    assert "assertion.bmffHash.mismatch" in done.stdout
    assert run("test-chain", str(tmp_path / "other")).exit_code == 0
    done = run("read", str(signed), "--trust", str(tmp_path / "other" / "root.pem"))
    assert (done.exit_code, "State         valid: " in done.stdout) == (1, True)
    done = run("read", str(signed.with_name("plain.mp4")))
    assert (done.exit_code, "has no content credential" in done.stderr) == (1, True)
    done = run("read", str(chain.root))
    assert (done.exit_code, "Traceback" in done.output) == (1, False)


def test_text_in_a_credential_cannot_steer_the_terminal(made, tmp_path):
    """Control characters are replaced; an earlier credential in it is shown with its state."""
    chain, signed = made
    target = tmp_path / "again.mp4"
    provenance = replace(PROVENANCE, prompt="\x1b[2Jgone [red]")
    signer_of(chain, include_prompt=True).sign(signed, target, provenance, now=NOW)
    done = run("read", str(target))
    assert "\x1b" not in done.stdout
    assert "Prompt         [2Jgone [red]" in done.stdout
    assert "intact: signingCredential.untrusted" in done.stdout


def test_a_chain_is_not_overwritten_nor_made_without_the_extra(made, tmp_path, monkeypatch):
    """A chain is neither overwritten nor made without the extra; each gives a message and status 1."""
    chain, _ = made
    done = run("test-chain", str(chain.key.parent))
    assert (done.exit_code, "File exists" in done.stderr) == (1, True)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    done = run("test-chain", str(tmp_path / "new"))
    assert (done.exit_code, "pip install 'seedance-dagster[c2pa]'" in done.stderr) == (1, True)


def test_dev_finds_the_files_from_anywhere(tmp_path, monkeypatch):
    """Paths are relative to where `dev` was started; PEM text stays as it is."""
    monkeypatch.chdir(tmp_path)
    pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    environ = {"SEEDANCE_C2PA_CERTIFICATE": "chain/certificate.pem", "SEEDANCE_C2PA_KEY": pem}
    settings = StateDir.for_environ(tmp_path / ".seedance", environ).environ
    assert settings["SEEDANCE_C2PA_CERTIFICATE"] == f"{tmp_path}/chain/certificate.pem"
    assert settings["SEEDANCE_C2PA_KEY"] == pem

"""Content credentials in real files: put in, read back, and read by a program of somebody else's."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import c2pa
import pytest
from credential_support import NOW, PROVENANCE, flipped, signer_of
from media_support import make_clip

from seedance_dagster.media.credentials import CredentialError, CredentialState, read_credential
from seedance_dagster.media.credentials.chain import Chain, make_test_chain
from seedance_dagster.media.video import probe

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ACTIONS = {"actions": [{"action": "c2pa.created", "digitalSourceType": TRAINED}]}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_test_chain(tmp_path_factory.mktemp("chain"), now=NOW)


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_clip(frames=48, with_audio=True)


@pytest.fixture
def video(tmp_path: Path, clip: bytes) -> Path:
    path = tmp_path / "video.mp4"
    path.write_bytes(clip)
    return path


@pytest.fixture
def signed(chain: Chain, video: Path) -> Path:
    target = video.with_name("signed.mp4")
    signer_of(chain).sign(video, target, PROVENANCE, now=NOW)
    return target


def independent(path: Path, root: Path | None = None) -> dict[str, object]:
    """What encypher-c2pa finds, a verifier of its own in Rust; without a root nobody is trusted."""
    import encypher_c2pa

    pem = root.read_text() if root else None
    return encypher_c2pa.verify(str(path), trust_pem=pem, no_default_trust=True)


def test_a_signed_video_plays_and_holds_what_is_known_of_it(chain, video, signed):
    """The same pictures and sound; the credential tells model, task and delivered bytes, and no prompt."""
    before, after = probe(video), probe(signed)
    assert (after.duration_s, after.width, after.codec, after.fps) == (
        (before.duration_s, before.width, before.codec, before.fps)
    )
    found = read_credential(signed, trust=chain.root)
    assert found is not None
    assert (found.state, found.reasons) == (CredentialState.TRUSTED, ())
    assert (found.model, found.task_id, found.delivered_sha256) == ("seedance-2-fast", "task-1", "ab" * 32)
    assert (found.source_type, found.prompt, found.ingredients) == (TRAINED, None, ())
    assert found.signed_by == "For testing only, test signer"
    assert found.generator.startswith("seedance-dagster ")
    assert b"a secret cat" not in signed.read_bytes()
    assert video.read_bytes() == make_clip(frames=48, with_audio=True), "what was delivered stays as it is"


def test_what_was_put_in_is_told(chain, video, tmp_path):
    """The record names manifest, certificate and the signed bytes, as the file has them."""
    target = tmp_path / "signed.mp4"
    told = signer_of(chain, include_prompt=True).sign(video, target, PROVENANCE, now=NOW)
    found = read_credential(target)
    assert found is not None
    assert told == json.loads(json.dumps(told))
    assert told["signed_sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (told["label"], told["certificate"]["serial"]) == (found.label, found.serial)
    assert told["certificate"]["subject"] == "CN=test signer,O=For testing only"
    assert (told["algorithm"], told["prompt_included"], told["vendor"]) == ("es256", True, None)
    assert found.prompt == "a secret cat", "put in, since it was asked for"


def test_who_is_not_trusted_is_still_valid(signed):
    """Without a root the bytes are known to be unchanged, and nothing of the signer."""
    found = read_credential(signed)
    assert found is not None
    assert (found.state, found.intact) == (CredentialState.VALID, True)
    assert found.reasons == ("signingCredential.untrusted: signing certificate untrusted",)


@pytest.mark.parametrize(
    ("code", "intact"),
    [("signingCredential.expired", True), ("claimSignature.mismatch", False)],
)
def test_a_certificate_that_ran_out_is_told_apart_from_changed_bytes(signed, monkeypatch, code, intact):
    """Both read as invalid; only one says that what was signed is not what it was."""
    against = {"code": code, "explanation": "so it is"}
    store = {"validation_state": "Invalid", "validation_status": [against], "active_manifest": "urn:c2pa:1"}
    monkeypatch.setattr(c2pa.Reader, "json", lambda _: json.dumps(store))
    found = read_credential(signed)
    assert found is not None
    assert (found.state, found.intact, found.reasons) == (
        CredentialState.INVALID,
        intact,
        (f"{code}: so it is",),
    )
    assert (found.task_id, found.signed_by, found.source_type) == (None, "", None)


@pytest.mark.parametrize("spot", ["pictures", "index", "statement"])
def test_a_flipped_byte_reads_as_invalid(chain, signed, spot):
    """Whether in the video's data, in its index, or in what the credential says."""
    video = signed.read_bytes()
    changed = bytearray(flipped(video)) if spot == "pictures" else bytearray(video)
    if spot != "pictures":
        changed[video.rindex(b"stts" if spot == "index" else b"task-1") + 5] ^= 1
    signed.write_bytes(changed)
    found = read_credential(signed, trust=chain.root)
    assert found is not None
    assert (found.state, found.intact) == (CredentialState.INVALID, False)
    assert any("mismatch" in reason for reason in found.reasons)


def test_an_independent_reader_agrees(chain, signed, monkeypatch):
    """Trusted with the root, valid without it, invalid after a flipped byte; and it reads the same origin."""
    monkeypatch.setenv("ENCYPHER_C2PA_TELEMETRY", "off")
    with_root, alone = independent(signed, chain.root), independent(signed)
    assert (with_root["validation_state"], alone["validation_state"]) == ("Trusted", "Valid")
    assert (alone["integrity"], alone["signature"], alone["hard_binding"]) == ("valid", "valid", "match")
    assert with_root["validation_results"]["failure"] == []
    told = json.dumps(with_root["manifest_report"])
    assert all(each in told for each in (TRAINED, "c2pa.created", "task-1", "ab" * 32, "seedance-2-fast"))
    signed.write_bytes(flipped(signed.read_bytes()))
    changed = independent(signed, chain.root)
    assert (changed["validation_state"], changed["hard_binding"]) == ("Invalid", "mismatch")


@pytest.mark.parametrize("intact", [True, False], ids=["intact", "changed"])
def test_the_vendors_own_credential_is_kept_with_its_validity(chain, signed, tmp_path, monkeypatch, intact):
    """It stands inside as an ingredient, the file opened instead of created; ours is valid either way."""
    monkeypatch.setenv("ENCYPHER_C2PA_TELEMETRY", "off")
    if not intact:
        signed.write_bytes(flipped(signed.read_bytes()))
    theirs = read_credential(signed)
    target = tmp_path / "again.mp4"
    told = signer_of(chain).sign(signed, target, PROVENANCE, now=NOW)
    assert told["vendor"]["label"] == theirs.label
    assert told["vendor"]["intact"] is intact
    assert any("mismatch" in reason for reason in told["vendor"]["reasons"]) is not intact
    found = read_credential(target, trust=chain.root)
    [kept] = found.ingredients
    assert (found.state, kept.label, kept.intact) == (CredentialState.TRUSTED, theirs.label, intact)
    assert (found.label, found.source_type) == (told["label"], TRAINED)
    report = independent(target, chain.root)
    assert report["validation_state"] == "Trusted"
    assert "c2pa.opened" in json.dumps(report["manifest_report"])


def test_a_vendors_credential_that_cannot_be_understood_is_told(chain, signed, tmp_path):
    """It gives way to ours, and the record says why."""
    video = bytearray(signed.read_bytes())
    video[video.index(b"jumdc2pa") + 4] ^= 0xFF
    signed.write_bytes(video)
    with pytest.raises(CredentialError, match="contains no readable content credential"):
        read_credential(signed)
    told = signer_of(chain).sign(signed, tmp_path / "again.mp4", PROVENANCE, now=NOW)
    assert "contains no readable content credential" in told["vendor"]["error"]
    assert read_credential(tmp_path / "again.mp4", trust=chain.root).state is CredentialState.TRUSTED


def test_a_file_that_names_a_host_is_not_believed(chain, video, clip):
    """A credential kept elsewhere is not fetched: neither reading nor signing opens a connection."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        host.setblocking(False)
        url = f"http://127.0.0.1:{host.getsockname()[1]}/video.c2pa"
        with (
            c2pa.Builder({"assertions": [{"label": "c2pa.actions.v2", "data": ACTIONS}]}) as builder,
            c2pa.Signer.from_info(
                c2pa.C2paSignerInfo("es256", chain.certificate.read_bytes(), chain.key.read_bytes(), None)
            ) as signer,
        ):
            builder.set_no_embed()
            builder.set_remote_url(url)
            with video.open("w+b") as target:
                builder.sign(signer, "video/mp4", io.BytesIO(clip), target)
        assert url.encode() in video.read_bytes()
        with pytest.raises(CredentialError, match="must fetch remote manifests"):
            read_credential(video)
        told = signer_of(chain).sign(video, video.with_name("signed.mp4"), PROVENANCE, now=NOW)
        assert "must fetch remote manifests" in told["vendor"]["error"]
        with pytest.raises(BlockingIOError):
            host.accept()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no readable content credential"),
        (b"<html>no video</html>" * 9, "no readable content credential"),
        (None, "No such file"),
    ],
    ids=["empty", "a page", "none"],
)
def test_what_is_no_mp4_is_told_in_words(chain, tmp_path, content, words):
    """Reading and signing say what is wrong."""
    path = tmp_path / "video.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialError, match=words):
        read_credential(path)
    with pytest.raises(CredentialError if content is not None else FileNotFoundError):
        signer_of(chain).sign(path, tmp_path / "signed.mp4", PROVENANCE, now=NOW)


def test_a_video_without_a_credential_has_none(video):
    """No credential is no error."""
    assert read_credential(video) is None


def test_roots_that_are_none_are_told(signed, tmp_path):
    """A file of roots must hold certificates."""
    (tmp_path / "roots.pem").write_text("no roots")
    with pytest.raises(CredentialError, match="contains no certificate in PEM"):
        read_credential(signed, trust=tmp_path / "roots.pem")
    with pytest.raises(CredentialError, match="No such file"):
        read_credential(signed, trust=tmp_path / "nowhere.pem")


def test_without_the_extra_it_is_said_what_to_install(chain, signed, monkeypatch):
    """Neither signing nor reading gives a traceback where the library is not there."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(CredentialError, match=r"pip install 'seedance-dagster\[c2pa\]'"):
        signer_of(chain).check(NOW)
    with pytest.raises(CredentialError, match="need the extra c2pa"):
        read_credential(signed)


def test_a_library_that_lies_in_the_current_folder_is_not_loaded(signed, tmp_path):
    """What somebody downloaded beside a video is no part of this program, whatever its name."""
    import encypher_c2pa._native as another

    folder = tmp_path / "downloads"
    folder.mkdir()
    (folder / "libc2pa_c.so").symlink_to(str(another.__file__))
    code = (
        "import os, sys; from pathlib import Path\n"
        "from seedance_dagster.media.credentials import read_credential\n"
        "print(read_credential(Path(sys.argv[1])).task_id, 'C2PA_LIBRARY_NAME' in os.environ)"
    )
    command = [sys.executable, "-c", code, str(signed)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("task-1 False\n", "")

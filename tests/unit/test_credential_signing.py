"""Content credentials in real files: written, read back, and read by an independent program."""

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
    """Read with encypher-c2pa, an independent verifier in Rust; without a root no signer is trusted."""
    import encypher_c2pa

    pem = root.read_text() if root else None
    return encypher_c2pa.verify(str(path), trust_pem=pem, no_default_trust=True)


def test_a_signed_video_plays_and_states_its_origin(chain, video, signed):
    """Pictures and sound are unchanged; the credential states model, task and delivered bytes, no prompt."""
    before, after = probe(video), probe(signed)
    assert (after.duration_s, after.width, after.codec, after.fps) == (
        (before.duration_s, before.width, before.codec, before.fps)
    )
    credential = read_credential(signed, trust=chain.root)
    assert credential is not None
    assert (credential.state, credential.reasons) == (CredentialState.TRUSTED, ())
    assert (credential.model, credential.task_id, credential.delivered_sha256) == (
        "seedance-2-fast",
        "task-1",
        "ab" * 32,
    )
    assert (credential.source_type, credential.prompt, credential.ingredients) == (TRAINED, None, ())
    assert credential.signed_by == "For testing only, test signer"
    assert credential.generator.startswith("seedance-dagster ")
    assert b"a secret cat" not in signed.read_bytes()
    assert video.read_bytes() == make_clip(frames=48, with_audio=True), "what was delivered stays as it is"


def test_the_record_describes_the_credential(chain, video, tmp_path):
    """The record names manifest, certificate and the signed bytes, as the file has them."""
    target = tmp_path / "signed.mp4"
    record = signer_of(chain, include_prompt=True).sign(video, target, PROVENANCE, now=NOW)
    credential = read_credential(target)
    assert credential is not None
    assert record == json.loads(json.dumps(record))
    assert record["signed_sha256"] == hashlib.sha256(target.read_bytes()).hexdigest()
    assert (record["label"], record["certificate"]["serial"]) == (credential.label, credential.serial)
    assert record["certificate"]["subject"] == "CN=test signer,O=For testing only"
    assert (record["algorithm"], record["prompt_included"], record["vendor"]) == ("es256", True, None)
    assert credential.prompt == "a secret cat", "included, since the settings say so"


def test_an_untrusted_signer_is_still_valid(signed):
    """Without a root the bytes are known to be unchanged, but the signer is not."""
    credential = read_credential(signed)
    assert credential is not None
    assert (credential.state, credential.intact) == (CredentialState.VALID, True)
    assert credential.reasons == ("signingCredential.untrusted: signing certificate untrusted",)


@pytest.mark.parametrize(
    ("code", "intact"),
    [("signingCredential.expired", True), ("claimSignature.mismatch", False)],
)
def test_an_expired_certificate_is_told_from_changed_bytes(signed, monkeypatch, code, intact):
    """Both an expired certificate and changed bytes are invalid; only the latter mean changed content."""
    against = {"code": code, "explanation": "so it is"}
    store = {"validation_state": "Invalid", "validation_status": [against], "active_manifest": "urn:c2pa:1"}
    monkeypatch.setattr(c2pa.Reader, "json", lambda _: json.dumps(store))
    credential = read_credential(signed)
    assert credential is not None
    assert (credential.state, credential.intact, credential.reasons) == (
        CredentialState.INVALID,
        intact,
        (f"{code}: so it is",),
    )
    assert (credential.task_id, credential.signed_by, credential.source_type) == (None, "", None)


@pytest.mark.parametrize("spot", ["pictures", "index", "statement"])
def test_a_flipped_byte_reads_as_invalid(chain, signed, spot):
    """A change in the video's data, in its index or in the credential itself makes it invalid."""
    video = signed.read_bytes()
    changed = bytearray(flipped(video)) if spot == "pictures" else bytearray(video)
    if spot != "pictures":
        changed[video.rindex(b"stts" if spot == "index" else b"task-1") + 5] ^= 1
    signed.write_bytes(changed)
    credential = read_credential(signed, trust=chain.root)
    assert credential is not None
    assert (credential.state, credential.intact) == (CredentialState.INVALID, False)
    assert any("mismatch" in reason for reason in credential.reasons)


def test_an_independent_reader_agrees(chain, signed, monkeypatch):
    """Trusted with the root, valid without it, invalid after a flipped byte; it reads the same origin."""
    monkeypatch.setenv("ENCYPHER_C2PA_TELEMETRY", "off")
    with_root, alone = independent(signed, chain.root), independent(signed)
    assert (with_root["validation_state"], alone["validation_state"]) == ("Trusted", "Valid")
    assert (alone["integrity"], alone["signature"], alone["hard_binding"]) == ("valid", "valid", "match")
    assert with_root["validation_results"]["failure"] == []
    report = json.dumps(with_root["manifest_report"])
    assert all(text in report for text in (TRAINED, "c2pa.created", "task-1", "ab" * 32, "seedance-2-fast"))
    signed.write_bytes(flipped(signed.read_bytes()))
    changed = independent(signed, chain.root)
    assert (changed["validation_state"], changed["hard_binding"]) == ("Invalid", "mismatch")


@pytest.mark.parametrize("intact", [True, False], ids=["intact", "changed"])
def test_the_vendors_own_credential_is_kept_with_its_validity(chain, signed, tmp_path, monkeypatch, intact):
    """It becomes an ingredient, and the file is opened instead of created; ours is valid either way."""
    monkeypatch.setenv("ENCYPHER_C2PA_TELEMETRY", "off")
    if not intact:
        signed.write_bytes(flipped(signed.read_bytes()))
    theirs = read_credential(signed)
    target = tmp_path / "again.mp4"
    record = signer_of(chain).sign(signed, target, PROVENANCE, now=NOW)
    assert record["vendor"]["label"] == theirs.label
    assert record["vendor"]["intact"] is intact
    assert any("mismatch" in reason for reason in record["vendor"]["reasons"]) is not intact
    credential = read_credential(target, trust=chain.root)
    [kept] = credential.ingredients
    assert (credential.state, kept.label, kept.intact) == (CredentialState.TRUSTED, theirs.label, intact)
    assert (credential.label, credential.source_type) == (record["label"], TRAINED)
    report = independent(target, chain.root)
    assert report["validation_state"] == "Trusted"
    assert "c2pa.opened" in json.dumps(report["manifest_report"])


def test_an_unreadable_credential_of_the_vendor_is_recorded(chain, signed, tmp_path):
    """It is replaced by ours, and the record says why."""
    video = bytearray(signed.read_bytes())
    video[video.index(b"jumdc2pa") + 4] ^= 0xFF
    signed.write_bytes(video)
    with pytest.raises(CredentialError, match="contains no readable content credential"):
        read_credential(signed)
    record = signer_of(chain).sign(signed, tmp_path / "again.mp4", PROVENANCE, now=NOW)
    assert "contains no readable content credential" in record["vendor"]["error"]
    assert read_credential(tmp_path / "again.mp4", trust=chain.root).state is CredentialState.TRUSTED


def test_a_remote_credential_is_not_fetched(chain, video, clip):
    """Neither reading nor signing opens a connection for a credential that is stored elsewhere."""
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
        record = signer_of(chain).sign(video, video.with_name("signed.mp4"), PROVENANCE, now=NOW)
        assert "must fetch remote manifests" in record["vendor"]["error"]
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
def test_other_files_are_reported(chain, tmp_path, content, words):
    """Reading and signing say what is wrong."""
    path = tmp_path / "video.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CredentialError, match=words):
        read_credential(path)
    with pytest.raises(CredentialError if content is not None else FileNotFoundError):
        signer_of(chain).sign(path, tmp_path / "signed.mp4", PROVENANCE, now=NOW)


def test_a_video_without_a_credential_has_none(video):
    """A missing credential is not an error."""
    assert read_credential(video) is None


def test_invalid_roots_are_reported(signed, tmp_path):
    """A file of roots must contain certificates."""
    (tmp_path / "roots.pem").write_text("no roots")
    with pytest.raises(CredentialError, match="contains no certificate in PEM"):
        read_credential(signed, trust=tmp_path / "roots.pem")
    with pytest.raises(CredentialError, match="No such file"):
        read_credential(signed, trust=tmp_path / "nowhere.pem")


def test_without_the_extra_the_error_says_what_to_install(chain, signed, monkeypatch):
    """Neither signing nor reading raises anything else where the library is missing."""
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(CredentialError, match=r"pip install 'seedance-dagster\[c2pa\]'"):
        signer_of(chain).check(NOW)
    with pytest.raises(CredentialError, match="need the extra c2pa"):
        read_credential(signed)


def test_a_library_in_the_current_folder_is_not_loaded(signed, tmp_path):
    """A file that was downloaded next to a video is never loaded, whatever its name."""
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

"""Content credentials in the engine and in Dagster: options, fallbacks and metadata."""

from __future__ import annotations

import dagster as dg
import pytest
from credential_support import NOW, signer_of
from factories import make_order
from media_support import make_clip
from pydantic import SecretStr

from seedance_dagster.defs.definitions import resources_of
from seedance_dagster.defs.resources import VideoStoreResource
from seedance_dagster.defs.steps.metadata import video_event
from seedance_dagster.engine.stages.delivery import Delivery
from seedance_dagster.engine.stages.download import Downloaded
from seedance_dagster.engine.stages.signing import matches_stored_object, sign_video
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.media.credentials import CredentialError, CredentialSettings
from seedance_dagster.media.credentials.chain import make_test_chain
from seedance_dagster.media.inspection import Inspection
from seedance_dagster.media.video import probe
from seedance_dagster.settings import SettingError, Settings
from seedance_dagster.storage.objects import ObjectInfo
from seedance_dagster.storage.s3 import VideoStore

ENVIRON = {
    "SEEDANCE_C2PA_CERTIFICATE": "/etc/certificate.pem",
    "SEEDANCE_C2PA_KEY": " /etc/key.pem ",
    "SEEDANCE_C2PA_INCLUDE_PROMPT": "true",
}


@pytest.fixture
def delivered(tmp_path) -> Downloaded:
    path = tmp_path / "video.mp4"
    path.write_bytes(make_clip())
    return Downloaded(path, path.stat().st_size, "cd" * 32)


def test_the_environment_configures_the_signer(tmp_path):
    """All three variables are read, and the key is never shown."""
    options = Settings.from_environ(ENVIRON | {"DAGSTER_HOME": str(tmp_path)})
    with options.services() as services:
        assert services.signer.settings == CredentialSettings(
            certificate="/etc/certificate.pem", key=SecretStr("/etc/key.pem"), include_prompt=True
        )
    assert "key.pem" not in repr(options)
    with pytest.raises(SettingError, match="SEEDANCE_C2PA_INCLUDE_PROMPT: 'perhaps' is not true or false"):
        Settings.from_environ({"SEEDANCE_C2PA_INCLUDE_PROMPT": "perhaps"})


def test_definitions_take_the_key_by_reference(monkeypatch):
    """Dagster keeps the variable's name; without the variables nothing is signed."""
    _, resource, _ = resources_of(Settings.from_environ(ENVIRON), ENVIRON)
    assert isinstance(resource.c2pa_key, dg.EnvVar)
    assert resource.c2pa_certificate == dg.EnvVar("SEEDANCE_C2PA_CERTIFICATE")
    assert resource.c2pa_include_prompt
    assert "pem" not in repr(resource)
    assert VideoStoreResource().signer() is None
    assert VideoStoreResource(c2pa_key="key.pem").signer() is not None, (
        "it will say that the other is missing"
    )


def delivery(file: Downloaded) -> Delivery:
    return Delivery(file, Inspection(probe(file.path), None, None, None))


def test_a_file_that_cannot_be_read_is_stored_unsigned(delivered, tmp_path):
    """A signed copy could not be compared with the delivered file."""
    signer = signer_of(make_test_chain(tmp_path / "chain", now=NOW))
    unreadable = Delivery(delivered, Inspection(None, "no decoder", None, None))
    video = sign_video(make_order(), unreadable, signer=signer, now=NOW)
    assert (video.path, video.credential) == (delivered.path, {"error": "not signed: no decoder"})


def test_without_a_signer_nothing_is_signed(delivered):
    """The file stays as it was delivered, and no credential is recorded."""
    video = sign_video(make_order(), delivery(delivered), signer=None, now=NOW)
    assert (video.path, video.sha256, video.credential) == (delivered.path, "cd" * 32, None)


def test_a_signed_copy_that_is_another_video_is_not_stored(delivered, tmp_path, monkeypatch):
    """If the signed copy is another video or does not play, the delivered file is stored, with the reason."""
    signer = signer_of(make_test_chain(tmp_path / "chain", now=NOW))
    other = make_clip(frames=48)
    for content, words in ((other, "was not the same video"), (b"", "not a playable video")):

        def spoil(_self, _source, target, *_, content=content, **__):
            target.write_bytes(content)
            return {"signed_sha256": "ef" * 32}

        monkeypatch.setattr(type(signer), "sign", spoil)
        video = sign_video(make_order(), delivery(delivered), signer=signer, now=NOW)
        assert (video.path, video.sha256, video.size_bytes) == (
            (delivered.path, "cd" * 32, delivered.size_bytes)
        )
        assert words in video.credential["error"]


def test_no_signed_url_is_recorded(delivered, tmp_path, monkeypatch):
    """A URL in the library's message loses its query before the ledger gets it."""
    signer = signer_of(make_test_chain(tmp_path / "chain", now=NOW))

    def fail(*_args, **_kwargs):
        raise CredentialError("must fetch https://cdn.example.com/a.c2pa?X-Amz-Signature=secret first")

    monkeypatch.setattr(type(signer), "sign", fail)
    video = sign_video(make_order(), delivery(delivered), signer=signer, now=NOW)
    assert video.credential == {"error": "must fetch https://cdn.example.com/a.c2pa first"}


@pytest.mark.parametrize(
    ("stored", "answer"),
    [
        (None, False),
        (ObjectInfo(9, "video/mp4", {"sha256": "ab" * 32}), False),
        (ObjectInfo(7, "video/mp4", {"sha256": "cd" * 32}), False),
        (ObjectInfo(7, "video/mp4", {"sha256": "ab" * 32}), True),
        (ObjectInfo(7, "video/mp4", {}), True),
    ],
    ids=["nothing", "another size", "other bytes", "the same", "a server without metadata"],
)
def test_a_stored_object_is_compared_with_its_order(monkeypatch, stored, answer):
    """Sizes are compared, and hashes where the server keeps them."""
    store = VideoStore(None, "videos")
    monkeypatch.setattr(store, "head", lambda key: stored if key == "v.mp4" else None)
    assert (
        matches_stored_object(store, make_order(video_key="v.mp4", sha256="ab" * 32, size_bytes=7)) is answer
    )


def test_the_materialization_shows_the_credential():
    """Its metadata holds the record or the reason, and nothing where nothing was to be signed."""
    store = VideoStore(None, "videos")
    for credential in ({"label": "urn:c2pa:1", "vendor": None}, {"error": "no key"}, None):
        order = make_order(request={"mode": "text_to_video"}, sha256="ab" * 32, credential=credential)
        shown = video_event(order, Link(order.prompt_set, order.partition, 1), store, None, {}).metadata.get(
            "seedance/credential"
        )
        assert (shown and shown.value) == credential

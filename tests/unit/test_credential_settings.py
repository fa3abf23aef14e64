"""Certificate and key of the signer, from files or as text, checked before they are used."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from credential_support import NOW, key_in_pem, key_of, leaf_without, signer_of
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from pydantic import SecretStr

from seedance_dagster.media.credentials import CredentialError, CredentialSettings, Signer
from seedance_dagster.media.credentials.chain import Chain, make_test_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return make_test_chain(tmp_path_factory.mktemp("chain"), now=NOW)


def check(certificate: str, key: str) -> None:
    Signer(CredentialSettings(certificate=certificate, key=SecretStr(key))).check(NOW)


def refusal(certificate: str, key: str) -> str:
    with pytest.raises(CredentialError) as caught:
        check(certificate, key)
    return str(caught.value)


def test_files_and_texts_are_accepted(chain):
    """Certificate and key are paths or PEM, in either form of an EC key."""
    check(str(chain.certificate), str(chain.key))
    check(chain.certificate.read_text(), chain.key.read_text())
    check(chain.certificate.read_text() + chain.root.read_text(), str(chain.key))


def test_a_missing_or_unreadable_value_is_named_and_never_shown(chain, tmp_path):
    """The message says which of the two it is, and never contains the key."""
    certificate, key = str(chain.certificate), str(chain.key)
    assert "SEEDANCE_C2PA_KEY) is not set" in refusal(certificate, "")
    assert "SEEDANCE_C2PA_CERTIFICATE) is not set" in refusal("", key)
    for secret in ("MHcCAQEEIFsecret", "MHcCAQEE\0secret", "x" * 5000):
        message = refusal(certificate, secret)
        assert "SEEDANCE_C2PA_KEY) is neither PEM nor" in message
        assert secret not in message
    assert "neither PEM nor a readable file (No such file" in refusal(str(tmp_path / "gone.pem"), key)
    assert "a readable file (Is a directory)" in refusal(str(tmp_path), key)


def test_a_wrong_kind_is_reported(chain):
    """An encrypted key, a key of another kind or certificate, and texts that are neither are reported."""
    certificate, secret = str(chain.certificate), key_of(chain.key)
    rejected = {
        "does not belong to the first certificate": key_in_pem(ec.generate_private_key(ec.SECP256R1())),
        "is encrypted": key_in_pem(secret, b"password"),
        "contains no private key in PEM": chain.certificate.read_text(),
        "on P-256": key_in_pem(ec.generate_private_key(ec.SECP384R1())),
    }
    for words, key in rejected.items():
        assert words in refusal(certificate, key)
    assert "on P-256" in refusal(certificate, key_in_pem(ed25519.Ed25519PrivateKey.generate()))
    assert "contains no certificate in PEM" in refusal(chain.key.read_text(), str(chain.key))
    assert "does not belong" in refusal(
        chain.root.read_text() + chain.certificate.read_text(), str(chain.key)
    ), "the signing certificate comes first"


@pytest.mark.parametrize("late", [timedelta(days=-2), timedelta(days=4)], ids=["not yet", "no more"])
def test_a_certificate_that_is_not_valid_now_is_refused_with_its_days(tmp_path, late):
    """For an expired or future certificate the message names its validity."""
    made = make_test_chain(tmp_path, now=NOW, days=3)
    with pytest.raises(CredentialError, match=rf"valid from {NOW:%Y-%m}.*, not now: renew it"):
        signer_of(made).check(NOW + late)


@pytest.mark.parametrize(
    "lack",
    [
        {"missing": ["key usage"]},
        {"missing": ["extended key usage"]},
        {"missing": ["issuer's key"]},
        {"usage": ExtendedKeyUsageOID.SERVER_AUTH},
        {"ca": True},
    ],
    ids=str,
)
def test_a_certificate_that_readers_would_refuse_is_refused_before(lack):
    """A sample is signed to check what C2PA requires; the message lists the requirements."""
    message = refusal(*leaf_without(**lack))
    assert message.startswith("nothing can be signed")
    assert "emailProtection, documentSigning or C2PA's claimSigning" in message


@pytest.mark.parametrize(
    "usage",
    ["1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1"],
    ids=["mail", "document", "claim"],
)
def test_a_certificate_for_mail_documents_or_claims_signs(usage):
    """Complete certificates work with each usage; the last one is C2PA's own."""
    check(*leaf_without(usage=ObjectIdentifier(usage)))


def test_no_repr_shows_a_secret(chain):
    """Neither settings nor identity show the key, nor whole certificates."""
    settings = CredentialSettings(
        certificate=chain.certificate.read_text(), key=SecretStr(chain.key.read_text())
    )
    shown = f"{Signer(settings)!r} {settings.identity(NOW)!r}"
    assert "PRIVATE KEY" not in shown
    assert "BEGIN" not in shown


def test_a_test_chain_meets_the_requirements(chain):
    """The leaf is not a CA, signs, protects e-mail, names the root's key, and its own key is private."""
    leaf = load_pem_x509_certificate(chain.certificate.read_bytes())
    root = load_pem_x509_certificate(chain.root.read_bytes())
    leaf.verify_directly_issued_by(root)
    known = {extension.oid._name for extension in leaf.extensions}
    assert known >= {"basicConstraints", "keyUsage", "extendedKeyUsage", "authorityKeyIdentifier"}
    assert stat.S_IMODE(chain.key.stat().st_mode) == 0o600
    assert {path.name for path in chain.key.parent.iterdir()} == {"root.pem", "certificate.pem", "key.pem"}


def test_a_test_chain_overwrites_nothing(chain, tmp_path):
    """An existing file stays, and the message names it."""
    before = chain.key.read_bytes()
    with pytest.raises(CredentialError, match=r"key\.pem: File exists"):
        make_test_chain(chain.key.parent, now=NOW)
    assert chain.key.read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(CredentialError, match="the test chain cannot be written"):
        make_test_chain(Path(tmp_path / "file"), now=NOW)

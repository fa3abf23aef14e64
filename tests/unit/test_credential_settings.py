"""Who signs: certificate and key from files or as text, checked before anything depends on them."""

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


def test_files_and_texts_are_taken_alike(chain):
    """Certificate and key are paths or PEM itself, in either form of an EC key."""
    check(str(chain.certificate), str(chain.key))
    check(chain.certificate.read_text(), chain.key.read_text())
    check(chain.certificate.read_text() + chain.root.read_text(), str(chain.key))


def test_what_is_not_set_or_cannot_be_read_is_named_and_never_shown(chain, tmp_path):
    """The message says which of the two it is; the key's value stands in none."""
    certificate, key = str(chain.certificate), str(chain.key)
    assert "SEEDANCE_C2PA_KEY) is not set" in refusal(certificate, "")
    assert "SEEDANCE_C2PA_CERTIFICATE) is not set" in refusal("", key)
    for secret in ("MHcCAQEEIFsecret", "MHcCAQEE\0secret", "x" * 5000):
        told = refusal(certificate, secret)
        assert "SEEDANCE_C2PA_KEY) is neither PEM nor" in told
        assert secret not in told
    assert "neither PEM nor a readable file (No such file" in refusal(str(tmp_path / "gone.pem"), key)
    assert "a readable file (Is a directory)" in refusal(str(tmp_path), key)


def test_what_is_of_another_kind_is_named(chain):
    """A key under a password, of another kind or of another certificate, and texts that are neither."""
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
    """Expired or not begun: the message says from when to when it is valid."""
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
    """A sample is signed, so what the C2PA profile demands is asked of the library; the words say what is."""
    told = refusal(*leaf_without(**lack))
    assert told.startswith("nothing can be signed")
    assert "emailProtection, documentSigning or C2PA's claimSigning" in told


@pytest.mark.parametrize(
    "usage",
    ["1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1"],
    ids=["mail", "document", "claim"],
)
def test_a_certificate_for_mail_documents_or_claims_signs(usage):
    """The same certificates with nothing missing; the last is what the C2PA's own program gives out."""
    check(*leaf_without(usage=ObjectIdentifier(usage)))


def test_no_secret_in_what_is_shown(chain):
    """Neither settings nor identity show the key, nor do they fill a line with certificates."""
    settings = CredentialSettings(
        certificate=chain.certificate.read_text(), key=SecretStr(chain.key.read_text())
    )
    shown = f"{Signer(settings)!r} {settings.identity(NOW)!r}"
    assert "PRIVATE KEY" not in shown
    assert "BEGIN" not in shown


def test_a_test_chain_is_what_readers_ask_for(chain):
    """The leaf is no CA, signs files, protects e-mail, and names the root's key; its own key is private."""
    leaf = load_pem_x509_certificate(chain.certificate.read_bytes())
    root = load_pem_x509_certificate(chain.root.read_bytes())
    leaf.verify_directly_issued_by(root)
    known = {each.oid._name for each in leaf.extensions}
    assert known >= {"basicConstraints", "keyUsage", "extendedKeyUsage", "authorityKeyIdentifier"}
    assert stat.S_IMODE(chain.key.stat().st_mode) == 0o600
    assert {path.name for path in chain.key.parent.iterdir()} == {"root.pem", "certificate.pem", "key.pem"}


def test_a_test_chain_is_never_written_over_anything(chain, tmp_path):
    """A file that is there stays, and the message names it."""
    before = chain.key.read_bytes()
    with pytest.raises(CredentialError, match=r"key\.pem: File exists"):
        make_test_chain(chain.key.parent, now=NOW)
    assert chain.key.read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(CredentialError, match="the test chain cannot be written"):
        make_test_chain(Path(tmp_path / "file"), now=NOW)

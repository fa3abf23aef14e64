"""A certificate chain for tests and demos. Needs the extra `c2pa`: import it late."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seedance_dagster.media.credentials.library import CredentialError

_CLOCK_SKEW = timedelta(hours=1)
_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True)
class Chain:
    """The files of a certificate chain.

    Attributes:
        root: The certificate that readers should trust.
        certificate: The certificate that signs.
        key: Its private key, readable by its owner alone.
    """

    root: Path
    certificate: Path
    key: Path


def make_test_chain(folder: Path, *, now: datetime, days: float = 365) -> Chain:
    """Create a root and a signing certificate issued by it; the root's key is not kept.

    Args:
        folder: Created if missing.
        now: The start of their validity (UTC).
        days: The length of their validity.

    Raises:
        CredentialError: A file exists already or cannot be written.
    """
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    until = now + timedelta(days=days)
    root = _root(root_key, now, until)
    leaf = _leaf(key, root, root_key, now, until)
    chain = Chain(folder / "root.pem", folder / "certificate.pem", folder / "key.pem")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(chain.key, secret, mode=0o600)
        _write(chain.certificate, leaf.public_bytes(Encoding.PEM), mode=0o644)
        _write(chain.root, root.public_bytes(Encoding.PEM), mode=0o644)
    except OSError as error:
        raise CredentialError(
            f"the test chain cannot be written: {error.filename}: {error.strerror}"
        ) from None
    return chain


def _root(key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime) -> x509.Certificate:
    name = _name("test root")
    return (
        _builder(name, name, key, now, until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    until: datetime,
) -> x509.Certificate:
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        _builder(_name("test signer"), root.subject, key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "For testing only"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in uses for use in _USES})


def _write(path: Path, content: bytes, *, mode: int) -> None:
    # An existing file is never overwritten: it may be a key in use.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)

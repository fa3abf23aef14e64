"""Certificate chains, valid and invalid, and their signers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from pydantic import SecretStr

from seedance_dagster.media.credentials import CredentialSettings, Provenance, Signer
from seedance_dagster.media.credentials.chain import Chain

NOW = datetime.now(UTC)
PROVENANCE = Provenance(
    task_id="task-1", model="seedance-2-fast", delivered_sha256="ab" * 32, prompt="a secret cat"
)


def signer_of(chain: Chain, **settings: Any) -> Signer:
    """Return a signer with a chain's files."""
    return Signer(
        CredentialSettings(certificate=str(chain.certificate), key=SecretStr(str(chain.key)), **settings)
    )


def leaf_without(
    missing: Iterable[str] = (),
    *,
    usage: ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ca: bool = False,
) -> tuple[str, str]:
    """Make a certificate and its key in PEM that lack something a signer needs.

    Args:
        missing: Names of extensions to leave out.
        usage: The extended key usage.
        ca: Whether it may sign certificates.
    """
    key, above = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("a", "b"))
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    extensions: dict[str, tuple[x509.ExtensionType, bool]] = {
        "basic constraints": (x509.BasicConstraints(ca=ca, path_length=None), True),
        "key usage": (
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=ca, encipher_only=False, decipher_only=False, **uses
            ),
            True,
        ),
        "extended key usage": (x509.ExtendedKeyUsage([usage]), False),
        "issuer's key": (x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False),
    }
    builder = x509.CertificateBuilder(
        issuer,
        name,
        key.public_key(),
        x509.random_serial_number(),
        NOW - timedelta(days=1),
        NOW + timedelta(days=1),
    )
    for extension_name, (extension, critical) in extensions.items():
        if extension_name not in missing:
            builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(above, hashes.SHA256())
    return certificate.public_bytes(Encoding.PEM).decode(), key_in_pem(key)


def key_in_pem(key: Any, password: bytes | None = None) -> str:
    """Return a private key as PEM, encrypted if a password is given."""
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


def key_of(path: Path) -> Any:
    """Read the private key in a file."""
    return load_pem_private_key(path.read_bytes(), None)


def flipped(video: bytes) -> bytes:
    """Return the file with one bit of its pictures changed."""
    changed = bytearray(video)
    changed[video.rindex(b"mdat") + 200] ^= 1
    return bytes(changed)

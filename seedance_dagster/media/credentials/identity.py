"""A certificate chain and its key, read and checked. Needs the extra `c2pa`: import it late."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates
from pydantic import SecretBytes, SecretStr

from seedance_dagster.media.credentials.library import CredentialError

_PEM = "-----BEGIN "
_CERTIFICATE = "the signing certificate (SEEDANCE_C2PA_CERTIFICATE)"
_KEY = "the signing key (SEEDANCE_C2PA_KEY)"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A certificate chain with the key that belongs to it.

    Attributes:
        chain_pem: The leaf first.
        key_pem: PKCS#8, not encrypted.
        subject: Of the leaf, such as "CN=Signer,O=Example".
        serial: Of the leaf, decimal.
        sha256: Fingerprint of the leaf, in hex.
        valid_until: When the leaf expires (UTC).
    """

    chain_pem: bytes = field(repr=False)
    key_pem: SecretBytes
    subject: str
    serial: str
    sha256: str
    valid_until: datetime


def read_identity(certificate: str, key: SecretStr, now: datetime) -> Identity:
    """Read a chain and its key, each given as PEM or as the path of a file.

    Raises:
        CredentialError: One is missing, unreadable or of another kind, they do not belong together, or the
            certificate is not valid now.
    """
    chain = _pem(certificate, _CERTIFICATE)
    leaf = _leaf(chain)
    private = _private_key(_pem(key.get_secret_value(), _KEY))
    if private.public_key() != leaf.public_key():
        raise CredentialError(f"{_KEY} does not belong to the first certificate of {_CERTIFICATE}")
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not start <= now <= end:
        raise CredentialError(
            f"{_CERTIFICATE} is valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, not now: "
            "renew it"
        )
    return Identity(
        chain_pem=chain,
        # The only form that the C2PA library accepts.
        key_pem=SecretBytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        subject=leaf.subject.rfc4514_string(),
        serial=str(leaf.serial_number),
        sha256=leaf.fingerprint(hashes.SHA256()).hex(),
        valid_until=end,
    )


def _pem(value: str, name: str) -> bytes:
    if not value:
        raise CredentialError(f"{name} is not set: set both certificate and key, or neither")
    if _PEM in value:
        return value.encode()
    try:
        return Path(value).expanduser().read_bytes()
    except OSError as error:
        # Without the value, which may be a key in an unknown form.
        raise CredentialError(f"{name} is neither PEM nor a readable file ({error.strerror})") from None
    except (ValueError, RuntimeError):
        raise CredentialError(f"{name} is neither PEM nor a path") from None


def _leaf(chain: bytes) -> Certificate:
    try:
        return load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise CredentialError(f"{_CERTIFICATE} contains no certificate in PEM") from None


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise CredentialError(f"{_KEY} is encrypted: store it without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError(f"{_KEY} contains no private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CredentialError(f"{_KEY} must be an elliptic-curve key on P-256 (for ES256)")
    return key

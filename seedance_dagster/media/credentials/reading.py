"""Reading of content credentials in mp4 files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from seedance_dagster.media.credentials.library import ASSERTION, MIME, CredentialError, library, offline

_SIGNER_CODES = "signingCredential."  # about the signer's certificate, not about what was signed


class CredentialState(StrEnum):
    """The validity of a credential, in C2PA's terms.

    INVALID: the file was changed after signing, or the signer's certificate expired. VALID: the signature
    holds, but the signer is not trusted. TRUSTED: it holds, and the certificate leads to a trusted root.
    """

    INVALID = "invalid"
    VALID = "valid"
    TRUSTED = "trusted"


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """An earlier credential that a credential includes.

    Attributes:
        label: Of its manifest; None where only the file is named.
        intact: Whether what it signs was unchanged when it was included.
        reasons: Problems found with it at that time.
    """

    label: str | None
    intact: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Credential:
    """The content of a credential; the signer's name is proven only where the state is TRUSTED.

    Attributes:
        label: Of the manifest, a URN.
        state: Its validity.
        reasons: Problems found: C2PA code and explanation.
        generator: The program that wrote it.
        signed_by: The signer's organization and common name.
        serial: Of the signer's certificate, decimal.
        source_type: The kind of origin, such as the IPTC's `.../trainedAlgorithmicMedia`.
        model: The model that rendered it. This field and the next three are None in a credential that
            another program wrote.
        task_id: The vendor's task.
        delivered_sha256: Of the file as the vendor delivered it, in hex.
        prompt: The text, where it was included.
        ingredients: Earlier credentials that it includes.
    """

    label: str
    state: CredentialState
    reasons: tuple[str, ...]
    generator: str
    signed_by: str
    serial: str
    source_type: str | None
    model: str | None
    task_id: str | None
    delivered_sha256: str | None
    prompt: str | None
    ingredients: tuple[Ingredient, ...]

    @property
    def intact(self) -> bool:
        """True when what was signed is unchanged, whoever signed it."""
        return _intact(self.reasons)


def read_credential(path: Path, *, trust: Path | None = None) -> Credential | None:
    """Read the content credential inside an mp4, without contacting any host.

    Args:
        path: The mp4.
        trust: A file of root certificates in PEM whose signers are trusted; none by default.

    Returns:
        The credential; None for a file without one.

    Raises:
        CredentialError: The extra is missing, the file is not an mp4, the credential cannot be parsed, or
            `trust` holds no certificates.
    """
    anchors = "" if trust is None else _roots(trust)
    try:
        with path.open("rb") as file, offline(anchors) as context:
            reader = library().Reader.try_create(MIME, file, context=context)
            if reader is None:
                return None
            with reader:
                return _credential(json.loads(reader.json()))
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}") from None
    except library().C2paError as error:
        raise CredentialError(f"{path.name} contains no readable content credential: {error}") from None


def _credential(store: Mapping[str, Any]) -> Credential:
    label = str(store.get("active_manifest"))
    manifest = store.get("manifests", {}).get(label, {})
    assertions = {item.get("label"): item.get("data") for item in manifest.get("assertions", ())}
    assertion = assertions.get(ASSERTION)
    own = assertion if isinstance(assertion, dict) else {}
    signature = manifest.get("signature_info") or {}
    signer = (signature.get("issuer"), signature.get("common_name"))
    return Credential(
        label=label,
        state=CredentialState(str(store.get("validation_state")).lower()),
        reasons=_reasons(store.get("validation_status") or ()),
        generator=_generator(manifest.get("claim_generator_info") or ()),
        signed_by=", ".join(filter(None, signer)),
        serial=str(signature.get("cert_serial_number", "")),
        source_type=_source_type(assertions),
        model=_text(own, "model"),
        task_id=_text(own, "task_id"),
        delivered_sha256=_text(own, "delivered_sha256"),
        prompt=_text(own, "prompt"),
        ingredients=tuple(map(_ingredient, manifest.get("ingredients", ()))),
    )


def _ingredient(item: Mapping[str, Any]) -> Ingredient:
    failures = (item.get("validation_results") or {}).get("activeManifest", {}).get("failure", ())
    reasons = _reasons(failures)
    return Ingredient(label=_text(item, "active_manifest"), intact=_intact(reasons), reasons=reasons)


def _intact(reasons: Iterable[str]) -> bool:
    return all(reason.startswith(_SIGNER_CODES) for reason in reasons)


def _reasons(statuses: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(f"{item.get('code')}: {item.get('explanation') or 'no explanation'}" for item in statuses)


def _generator(programs: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{item.get('name', '')} {item.get('version', '')}".strip() for item in programs)


def _source_type(assertions: Mapping[str, Any]) -> str | None:
    """Return the source type of the first action, which created the file."""
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        actions = (assertions.get(label) or {}).get("actions")
        if actions:
            return _text(actions[0], "digitalSourceType")
    return None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _roots(path: Path) -> str:
    library()
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415  an extra

    try:
        pem = path.read_bytes()
        load_pem_x509_certificates(pem)
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise CredentialError(f"{path} contains no certificate in PEM") from None
    return pem.decode()

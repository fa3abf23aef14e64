"""Reading the content credential of an mp4."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from seedance_dagster.media.credentials.library import ASSERTION, MIME, CredentialError, library, offline

_STANDING = "signingCredential."  # codes that speak of the signer's certificate, not of what was signed


class State(StrEnum):
    """What reading found, in the C2PA's terms.

    INVALID: what was signed was changed, or the signer's certificate ran out. VALID: all holds, but nobody
    vouches for the signer. TRUSTED: all holds, and the signer's certificate leads to a trusted root.
    """

    INVALID = "invalid"
    VALID = "valid"
    TRUSTED = "trusted"


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """An earlier credential that was kept.

    Attributes:
        label: Of its manifest; None where only the file is named.
        intact: Whether what it signs was unchanged when it was kept.
        reasons: What was found against it then.
    """

    label: str | None
    intact: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What a credential says; who says so matters only where its state is TRUSTED.

    Attributes:
        label: Of the manifest, a URN.
        state: What reading found.
        reasons: What speaks against it: the C2PA code, and in words.
        generator: The program that wrote it.
        signed_by: The signer's organization and common name.
        serial: Of the signer's certificate, decimal.
        source_type: The kind of origin, such as the IPTC's `.../trainedAlgorithmicMedia`.
        model: The model that rendered it. This and the following are None in a credential not of this
            package.
        task_id: The vendor's task.
        delivered_sha256: Of the file as the vendor delivered it, in hex.
        prompt: The text, where it was put in.
        ingredients: Earlier credentials that it keeps.
    """

    label: str
    state: State
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
        """Whether what was signed is unchanged, the signer's standing aside."""
        return _intact(self.reasons)


def read_credential(path: Path, *, trust: Path | None = None) -> Credential | None:
    """Read the content credential inside an mp4; no other host is asked.

    Args:
        path: The file.
        trust: A file of root certificates in PEM whose signers are trusted; by default nobody is.

    Returns:
        What it says; None for a file that holds none.

    Raises:
        CredentialError: The extra is missing, the file is no mp4, the credential cannot be understood, or
            the roots are none.
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
        raise CredentialError(f"{path.name} holds no content credential that can be read: {error}") from None


def _credential(store: Mapping[str, Any]) -> Credential:
    label = str(store.get("active_manifest"))
    manifest = store.get("manifests", {}).get(label, {})
    assertions = {each.get("label"): each.get("data") for each in manifest.get("assertions", ())}
    said = assertions.get(ASSERTION)
    own = said if isinstance(said, dict) else {}
    signature = manifest.get("signature_info") or {}
    signer = (signature.get("issuer"), signature.get("common_name"))
    return Credential(
        label=label,
        state=State(str(store.get("validation_state")).lower()),
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


def _ingredient(found: Mapping[str, Any]) -> Ingredient:
    failures = (found.get("validation_results") or {}).get("activeManifest", {}).get("failure", ())
    reasons = _reasons(failures)
    return Ingredient(label=_text(found, "active_manifest"), intact=_intact(reasons), reasons=reasons)


def _intact(reasons: Iterable[str]) -> bool:
    return all(reason.startswith(_STANDING) for reason in reasons)


def _reasons(found: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(f"{each.get('code')}: {each.get('explanation') or 'no explanation'}" for each in found)


def _generator(found: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{each.get('name', '')} {each.get('version', '')}".strip() for each in found)


def _source_type(assertions: Mapping[str, Any]) -> str | None:
    """Of the first action, which says how the file came to be."""
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        actions = (assertions.get(label) or {}).get("actions")
        if actions:
            return _text(actions[0], "digitalSourceType")
    return None


def _text(found: Mapping[str, Any], name: str) -> str | None:
    value = found.get(name)
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
        raise CredentialError(f"{path} holds no certificate in PEM") from None
    return pem.decode()

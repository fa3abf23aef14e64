"""Signing: writing a content credential into an mp4."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pydantic import SecretStr

from seedance_dagster.media.credentials.library import ASSERTION, MIME, CredentialError, library, offline
from seedance_dagster.media.credentials.reading import CredentialState, read_credential
from seedance_dagster.versions import package_version

if TYPE_CHECKING:
    from seedance_dagster.media.credentials.identity import Identity

_ALGORITHM = "es256"
_GENERATED_BY_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_DELIVERED = "delivered"  # the vendor's credential among the ingredients of ours
# The smallest mp4 that can be signed: a file type and eight bytes of data.
_SAMPLE = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x10mdat" + bytes(8)
_REQUIREMENTS = (
    "the signing certificate needs emailProtection, documentSigning or C2PA's claimSigning as its extended "
    "key usage, digitalSignature as its key usage and the key of its issuer, and must not be a CA"
)


@dataclass(frozen=True, kw_only=True)
class CredentialSettings:
    """The signer's certificate and key; neither is read until it is used.

    Attributes:
        certificate: The chain in PEM, the signing certificate first, or the path of a file that holds it.
        key: The private key in PEM, or the path of a file that holds it.
        include_prompt: Put the prompt's text into the credential.
    """

    certificate: str = field(repr=False)
    key: SecretStr
    include_prompt: bool = False

    def identity(self, now: datetime) -> Identity:
        """Read certificate and key, as `read_identity` does; also raise `CredentialError` without the extra.

        Args:
            now: The time at which the certificate must be valid.
        """
        library()
        from seedance_dagster.media.credentials.identity import read_identity  # noqa: PLC0415  an extra

        return read_identity(self.certificate, self.key, now)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a video, as a credential states it.

    Attributes:
        task_id: The vendor's task.
        model: The model that rendered it.
        delivered_sha256: Of the file as the vendor delivered it, in hex.
        prompt: The text; included only where the settings say so.
    """

    task_id: str
    model: str
    delivered_sha256: str
    prompt: str


@dataclass(frozen=True)
class Signer:
    """A signer of videos; thread-safe."""

    settings: CredentialSettings

    def check(self, now: datetime) -> None:
        """Sign a sample to prove that these settings work.

        Raises:
            CredentialError: They do not; the message says what to do.
        """
        identity = self.settings.identity(now)
        provenance = Provenance(task_id="none", model="none", delivered_sha256="none", prompt="none")
        try:
            self._write(io.BytesIO(_SAMPLE), io.BytesIO(), identity, provenance, keep_earlier=False)
        except library().C2paError as error:
            raise CredentialError(f"nothing can be signed ({error}): {_REQUIREMENTS}") from None

    def sign(self, source: Path, target: Path, provenance: Provenance, *, now: datetime) -> dict[str, Any]:
        """Write a signed copy of an mp4 and read it back; an earlier credential is included.

        Args:
            source: The file as it was delivered; left unchanged.
            target: The signed copy; overwritten.
            provenance: The statement to sign.
            now: The time of signing (UTC).

        Returns:
            A record of the credential as JSON; docs/credentials.md describes it.

        Raises:
            CredentialError: The file could not be signed.
            OSError: A file cannot be read or written.
        """
        identity = self.settings.identity(now)
        vendor, keep_earlier = _earlier(source)
        try:
            with source.open("rb") as delivered, target.open("w+b") as signed:
                self._write(delivered, signed, identity, provenance, keep_earlier=keep_earlier)
                signed.seek(0)
                digest = hashlib.file_digest(signed, "sha256").hexdigest()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  a foreign file may make the library raise anything
            raise CredentialError(f"the video cannot be signed: {error}") from None
        credential = read_credential(target)
        if (
            credential is None
            or credential.state is CredentialState.INVALID
            or credential.task_id != provenance.task_id
        ):
            reasons = "; ".join(credential.reasons) if credential else "it has no credential"
            raise CredentialError(f"the signed copy cannot be verified: {reasons}")
        return {
            "label": credential.label,
            "algorithm": _ALGORITHM,
            "certificate": {
                "subject": identity.subject,
                "serial": identity.serial,
                "sha256": identity.sha256,
                "valid_until": identity.valid_until.isoformat(),
            },
            "signed_sha256": digest,
            "prompt_included": self.settings.include_prompt,
            "vendor": vendor,
        }

    def _write(
        self,
        source: BinaryIO,
        target: BinaryIO,
        identity: Identity,
        provenance: Provenance,
        *,
        keep_earlier: bool,
    ) -> None:
        c2pa = library()
        info = c2pa.C2paSignerInfo(_ALGORITHM, identity.chain_pem, identity.key_pem.get_secret_value(), None)
        with (
            offline() as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(self._manifest(provenance, keep_earlier=keep_earlier), context) as builder,
        ):
            if keep_earlier:
                earlier = {"title": "as delivered", "relationship": "parentOf", "label": _DELIVERED}
                builder.add_ingredient(earlier, MIME, source)
                source.seek(0)
            builder.sign(signer, MIME, source, target)

    def _manifest(self, provenance: Provenance, *, keep_earlier: bool) -> dict[str, Any]:
        assertion = {
            "task_id": provenance.task_id,
            "model": provenance.model,
            "delivered_sha256": provenance.delivered_sha256,
        }
        if self.settings.include_prompt:
            assertion["prompt"] = provenance.prompt
        action: dict[str, Any] = {
            # The creation of a file that has a credential is stated there; here it is only opened.
            "action": "c2pa.opened" if keep_earlier else "c2pa.created",
            "digitalSourceType": _GENERATED_BY_MODEL,
            "softwareAgent": {"name": provenance.model},
        }
        if keep_earlier:
            action["parameters"] = {"ingredientIds": [_DELIVERED]}
        return {
            "claim_generator_info": [{"name": "seedance-dagster", "version": package_version()}],
            "title": "video.mp4",
            "format": MIME,
            "assertions": [
                {"label": "c2pa.actions.v2", "created": True, "data": {"actions": [action]}},
                {"label": ASSERTION, "created": True, "data": assertion},
            ],
        }


def _earlier(source: Path) -> tuple[dict[str, Any] | None, bool]:
    """Return a record of the vendor's own credential, and whether it can be included."""
    try:
        credential = read_credential(source)
    except CredentialError as error:
        return {"error": str(error)}, False
    if credential is None:
        return None, False
    record = {"label": credential.label, "intact": credential.intact, "reasons": list(credential.reasons)}
    return record | {"generator": credential.generator, "signed_by": credential.signed_by}, True

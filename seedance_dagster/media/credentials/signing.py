"""Putting a content credential into an mp4."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seedance_dagster.media.credentials.library import ASSERTION, MIME, CredentialError, library, offline
from seedance_dagster.media.credentials.reading import State, read_credential
from seedance_dagster.media.credentials.settings import CredentialSettings
from seedance_dagster.versions import package_version

if TYPE_CHECKING:
    from seedance_dagster.media.credentials.identity import Identity

_ALGORITHM = "es256"
_MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_DELIVERED = "delivered"  # names the vendor's credential among the parts of ours
# The smallest thing that can be signed as an mp4: a file type and eight bytes of data.
_SAMPLE = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x10mdat" + bytes(8)
_NEEDED = (
    "the signing certificate must name emailProtection, documentSigning or the C2PA's claimSigning as its "
    "extended key usage, digitalSignature as its key usage and the key of its issuer, and must be no CA"
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a credential may say of a video.

    Attributes:
        task_id: The vendor's task.
        model: The model that rendered it.
        delivered_sha256: Of the file as the vendor delivered it, in hex.
        prompt: The text; it is put in only where the settings ask for that.
    """

    task_id: str
    model: str
    delivered_sha256: str
    prompt: str


@dataclass(frozen=True)
class Signer:
    """Signs videos as its settings say; thread-safe."""

    settings: CredentialSettings

    def check(self, now: datetime) -> None:
        """Sign a sample.

        Raises:
            CredentialError: Nothing could be signed with these settings; the message says what to do.
        """
        identity = self.settings.identity(now)
        facts = Facts(task_id="none", model="none", delivered_sha256="none", prompt="none")
        try:
            self._write(io.BytesIO(_SAMPLE), io.BytesIO(), identity, facts, kept=False)
        except library().C2paError as error:
            raise CredentialError(f"nothing can be signed ({error}): {_NEEDED}") from None

    def sign(self, source: Path, target: Path, facts: Facts, *, now: datetime) -> dict[str, Any]:
        """Write a signed copy of an mp4 and read it back; an earlier credential is kept inside.

        Args:
            source: The file as it was delivered; stays as it is.
            target: The signed copy; overwritten.
            facts: What is said of it.
            now: The time of signing (UTC).

        Returns:
            What was put in, as plain JSON; docs/credentials.md describes it.

        Raises:
            CredentialError: It could not be signed.
            OSError: A file cannot be read or written.
        """
        identity = self.settings.identity(now)
        vendor, kept = _earlier(source)
        try:
            with source.open("rb") as delivered, target.open("w+b") as signed:
                self._write(delivered, signed, identity, facts, kept=kept)
                signed.seek(0)
                digest = hashlib.file_digest(signed, "sha256").hexdigest()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001  whatever a foreign file makes the library stumble over
            raise CredentialError(f"it cannot be signed: {error}") from None
        found = read_credential(target)
        if found is None or found.state is State.INVALID or found.task_id != facts.task_id:
            reasons = "; ".join(found.reasons) if found else "no credential is in it"
            raise CredentialError(f"the signed copy does not hold what was signed: {reasons}")
        return {
            "label": found.label,
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
        self, source: BinaryIO, target: BinaryIO, identity: Identity, facts: Facts, *, kept: bool
    ) -> None:
        c2pa = library()
        who = c2pa.C2paSignerInfo(_ALGORITHM, identity.chain_pem, identity.key_pem.get_secret_value(), None)
        with (
            offline() as context,
            c2pa.Signer.from_info(who) as signer,
            c2pa.Builder(self._manifest(facts, kept=kept), context) as builder,
        ):
            if kept:
                earlier = {"title": "as delivered", "relationship": "parentOf", "label": _DELIVERED}
                builder.add_ingredient(earlier, MIME, source)
                source.seek(0)
            builder.sign(signer, MIME, source, target)

    def _manifest(self, facts: Facts, *, kept: bool) -> dict[str, Any]:
        said = {
            "task_id": facts.task_id,
            "model": facts.model,
            "delivered_sha256": facts.delivered_sha256,
        }
        if self.settings.include_prompt:
            said["prompt"] = facts.prompt
        action: dict[str, Any] = {
            # A file with a credential was created by what that one says, and opened here.
            "action": "c2pa.opened" if kept else "c2pa.created",
            "digitalSourceType": _MADE_BY_A_MODEL,
            "softwareAgent": {"name": facts.model},
        }
        if kept:
            action["parameters"] = {"ingredientIds": [_DELIVERED]}
        return {
            "claim_generator_info": [{"name": "seedance-dagster", "version": package_version()}],
            "title": "video.mp4",
            "format": MIME,
            "assertions": [
                {"label": "c2pa.actions.v2", "created": True, "data": {"actions": [action]}},
                {"label": ASSERTION, "created": True, "data": said},
            ],
        }


def _earlier(source: Path) -> tuple[dict[str, Any] | None, bool]:
    """The vendor's own credential for the record, and whether it can be kept."""
    try:
        found = read_credential(source)
    except CredentialError as error:
        return {"error": str(error)}, False
    if found is None:
        return None, False
    said = {"label": found.label, "intact": found.intact, "reasons": list(found.reasons)}
    return said | {"generator": found.generator, "signed_by": found.signed_by}, True

"""What signing is set to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from seedance_dagster.media.credentials.library import library

if TYPE_CHECKING:
    from seedance_dagster.media.credentials.identity import Identity


@dataclass(frozen=True, kw_only=True)
class CredentialSettings:
    """Who signs, and what is said; nothing is looked at until it is used.

    Attributes:
        certificate: The chain in PEM, the signing certificate first, or the path of a file that holds it.
        key: The private key in PEM, or the path of a file that holds it.
        include_prompt: Put the prompt's text into the credential.
    """

    certificate: str = field(repr=False)
    key: SecretStr
    include_prompt: bool = False

    def identity(self, now: datetime) -> Identity:
        """Read certificate and key.

        Args:
            now: The time at which the certificate must be valid.

        Raises:
            CredentialError: The extra is missing; one of them is not set, cannot be read or is of another
                kind; they do not belong together; the certificate is not valid now.
        """
        library()
        from seedance_dagster.media.credentials.identity import read_identity  # noqa: PLC0415  an extra

        return read_identity(self.certificate, self.key, now)

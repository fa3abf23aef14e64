"""Content credentials: a signed C2PA manifest inside a stored mp4, written and read.

Using them needs the extra `c2pa`; importing this package does not.
"""

from __future__ import annotations

from seedance_dagster.media.credentials.library import CredentialError
from seedance_dagster.media.credentials.reading import Credential, CredentialState, read_credential
from seedance_dagster.media.credentials.signing import CredentialSettings, Provenance, Signer

__all__ = [
    "Credential",
    "CredentialError",
    "CredentialSettings",
    "CredentialState",
    "Provenance",
    "Signer",
    "read_credential",
]

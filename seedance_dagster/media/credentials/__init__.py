"""Content credentials: a signed C2PA manifest inside a stored mp4, and reading one.

Everything that works with one needs the extra `c2pa`; importing this package does not.
"""

from __future__ import annotations

from seedance_dagster.media.credentials.library import CredentialError
from seedance_dagster.media.credentials.reading import Credential, State, read_credential
from seedance_dagster.media.credentials.settings import CredentialSettings
from seedance_dagster.media.credentials.signing import Facts, Signer

__all__ = [
    "Credential",
    "CredentialError",
    "CredentialSettings",
    "Facts",
    "Signer",
    "State",
    "read_credential",
]

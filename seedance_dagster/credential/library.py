"""The C2PA library, loaded when it is first needed, and how it is used here: offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

MIME: Final = "video/mp4"
ASSERTION: Final = "org.seedance-dagster.generation"
"""The label of what this package says in a credential."""

_USAGES: Final = (
    "1.3.6.1.5.5.7.3.4",  # emailProtection, all that the library takes when it is not told
    "1.3.6.1.5.5.7.3.36",  # documentSigning
    "1.3.6.1.4.1.62558.2.1",  # the C2PA's claimSigning
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's C2PA signing
)
_OFFLINE: Final[dict[str, Any]] = {
    "version": 1,
    # A file may name hosts, this machine's own network among them: nothing is fetched on its word.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
    "trust": {"trust_config": "\n".join(_USAGES)},
}


class CredentialError(Exception):
    """A content credential cannot be made or read; the message says why and holds no secret."""


def library() -> ModuleType:
    """The C2PA library.

    Raises:
        CredentialError: The extra is not installed, or its native part does not load here.
    """
    try:
        import c2pa  # noqa: PLC0415  an extra
    except (ImportError, OSError, RuntimeError) as error:
        raise CredentialError(
            f"content credentials need the extra c2pa: pip install 'seedance-dagster[c2pa]' ({error})"
        ) from None
    return c2pa  # type: ignore[no-any-return]  # it ships no type hints


@contextmanager
def offline(trust_pem: str = "") -> Iterator[Any]:
    """A context of the library that asks no other host; `trust_pem` are roots that are trusted."""
    trust = _OFFLINE["trust"] | ({"user_anchors": trust_pem} if trust_pem else {})
    with library().Context.from_dict(_OFFLINE | {"trust": trust}) as context:
        yield context

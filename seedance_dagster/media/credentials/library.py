"""The C2PA library, loaded when it is first needed, and how it is used here: offline."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

MIME: Final = "video/mp4"
ASSERTION: Final = "org.seedance-dagster.generation"
"""The label of what this package says in a credential."""

_NAMED: Final = "C2PA_LIBRARY_NAME"  # the package's own way to be told which native library it takes
_NATIVE: Final = {"darwin": "libc2pa_c.dylib", "win32": "c2pa_c.dll"}.get(sys.platform, "libc2pa_c.so")
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
        if "c2pa" not in sys.modules:
            _import_with_its_own_library()
        import c2pa  # noqa: PLC0415  an extra
    except (ImportError, OSError, RuntimeError) as error:
        raise CredentialError(
            f"content credentials need the extra c2pa: pip install 'seedance-dagster[c2pa]' ({error})"
        ) from None
    return c2pa  # type: ignore[no-any-return]  # it ships no type hints


def _import_with_its_own_library() -> None:
    """Import the package so that it takes the native library beside it.

    By itself it looks in the current folder first, where a file of that name may be anybody's download.
    """
    spec = find_spec("c2pa")
    beside = [Path(folder, "libs", _NATIVE) for folder in (spec and spec.submodule_search_locations) or ()]
    found = next(filter(Path.is_file, beside), None)
    if found is None or _NAMED in os.environ:
        return
    os.environ[_NAMED] = str(found)
    try:
        import_module("c2pa")
    finally:
        del os.environ[_NAMED]


@contextmanager
def offline(trust_pem: str = "") -> Iterator[Any]:
    """A context of the library that asks no other host; `trust_pem` are roots that are trusted."""
    trust = _OFFLINE["trust"] | ({"user_anchors": trust_pem} if trust_pem else {})
    with library().Context.from_dict(_OFFLINE | {"trust": trust}) as context:
        yield context

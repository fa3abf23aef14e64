"""The C2PA library, loaded when first needed and used offline."""

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
"""The label of this package's assertion in a credential."""

_LIBRARY_VARIABLE: Final = "C2PA_LIBRARY_NAME"  # the c2pa package loads the native library that it names
_NATIVE: Final = {"darwin": "libc2pa_c.dylib", "win32": "c2pa_c.dll"}.get(sys.platform, "libc2pa_c.so")
_USAGES: Final = (
    "1.3.6.1.5.5.7.3.4",  # emailProtection, the library's only default
    "1.3.6.1.5.5.7.3.36",  # documentSigning
    "1.3.6.1.4.1.62558.2.1",  # the C2PA's claimSigning
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's C2PA signing
)
_OFFLINE: Final[dict[str, Any]] = {
    "version": 1,
    # A file may name hosts, even of the internal network: nothing is fetched.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},
    "trust": {"trust_config": "\n".join(_USAGES)},
}


class CredentialError(Exception):
    """A content credential that cannot be written or read; the message says why and holds no secret."""


def library() -> ModuleType:
    """Return the C2PA library.

    Raises:
        CredentialError: The extra is not installed, or its native library does not load.
    """
    try:
        if "c2pa" not in sys.modules:
            _import_with_bundled_library()
        import c2pa  # noqa: PLC0415  an extra
    except (ImportError, OSError, RuntimeError) as error:
        raise CredentialError(
            f"content credentials need the extra c2pa: pip install 'seedance-dagster[c2pa]' ({error})"
        ) from None
    return c2pa  # type: ignore[no-any-return]  # it ships no type hints


def _import_with_bundled_library() -> None:
    """Import the package so that it loads the native library that it ships.

    By default it looks in the current folder first, where a file of that name may come from anywhere.
    """
    spec = find_spec("c2pa")
    candidates = [Path(root, "libs", _NATIVE) for root in (spec and spec.submodule_search_locations) or ()]
    bundled = next(filter(Path.is_file, candidates), None)
    if bundled is None or _LIBRARY_VARIABLE in os.environ:
        return
    os.environ[_LIBRARY_VARIABLE] = str(bundled)
    try:
        import_module("c2pa")
    finally:
        del os.environ[_LIBRARY_VARIABLE]


@contextmanager
def offline(trust_pem: str = "") -> Iterator[Any]:
    """Open a context of the library that contacts no host.

    Args:
        trust_pem: Root certificates whose signers are trusted.
    """
    trust = _OFFLINE["trust"] | ({"user_anchors": trust_pem} if trust_pem else {})
    with library().Context.from_dict(_OFFLINE | {"trust": trust}) as context:
        yield context

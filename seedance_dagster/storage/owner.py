"""The owner of a prefix: the one ledger whose videos are there."""

from __future__ import annotations

from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ValidationError

from seedance_dagster.storage.errors import StoreError

_FILE = ".seedance-ledger.json"


class Prefix(Protocol):
    """A prefix in a bucket."""

    @property
    def prefix(self) -> str:
        """The beginning of every key."""

    def uri(self, key: str) -> str:
        """Return a key as an s3:// URI."""

    def get_bytes(self, key: str) -> bytes:
        """Read an object; raise `StoreError` where there is none."""

    def head(self, key: str) -> object | None:
        """Return the properties of an object; None when it does not exist."""

    def put_if_absent(self, key: str, body: bytes, *, content_type: str) -> None:
        """Write an object where there is none."""


class Owner(BaseModel):
    """A ledger, as an object at the prefix names it."""

    ledger_id: str
    created_at: AwareDatetime


def owner_key(prefix: str) -> str:
    """Return the key of the object that names the owner."""
    return "/".join(part for part in (prefix.strip("/"), _FILE) if part)


def read_owner(store: Prefix) -> Owner | None:
    """Return the owner of a prefix; None where no ledger has claimed it.

    Raises:
        StoreError: S3 cannot be read, or the object there names no owner.
    """
    key = owner_key(store.prefix)
    if store.head(key) is None:
        return None
    return _read(store, key)


def claim_prefix(store: Prefix, owner: Owner) -> None:
    """Claim a prefix for a ledger, or check that it has claimed it already.

    Raises:
        StoreError: It belongs to another ledger, or S3 cannot be read or written.
    """
    key = owner_key(store.prefix)
    store.put_if_absent(key, owner.model_dump_json().encode(), content_type="application/json")
    current = _read(store, key)  # read back, as another ledger may have been faster
    if current.ledger_id != owner.ledger_id:
        raise StoreError(
            f"the prefix {store.uri(store.prefix)} belongs to another ledger (id {current.ledger_id}, since "
            f"{current.created_at:%Y-%m-%d}): set SEEDANCE_LEDGER_URL to that ledger; if it is lost, "
            "`seedance-dagster restore` rebuilds it in a new one. If it is another team's, set "
            "SEEDANCE_S3_PREFIX to a prefix of your own"
        )


def _read(store: Prefix, key: str) -> Owner:
    try:
        return Owner.model_validate_json(store.get_bytes(key))
    except ValidationError:
        raise StoreError(
            f"{store.uri(key)} does not say which ledger the prefix belongs to: restore it, or set "
            "SEEDANCE_S3_PREFIX to a prefix of your own"
        ) from None

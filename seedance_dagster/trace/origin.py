"""Where a thing comes from: an S3 URI, a task id, a partition, a hash or a file, found in the ledger."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import Order
from seedance_dagster.storage.keys import order_folder

if TYPE_CHECKING:
    from seedance_dagster.media.credentials import Credential

ALLOWED = (
    "an s3:// URI of a video, its poster or its manifest; a task id; <set>/<partition>; "
    "the sha256 of a video; or a local mp4"
)
"""What can be traced, in words."""

MOST = 20
"""So many partitions are shown for one hash: a vendor may deliver the same bytes for many tasks."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PARTITION = re.compile(r"([a-z][a-z0-9_]*)/([A-Za-z0-9][A-Za-z0-9._-]*)")
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_MOST_TAKES = 100


class Form(StrEnum):
    """What kind of thing was given."""

    FILE = "file"
    URI = "s3 uri"
    HASH = "sha256"
    PARTITION = "partition"
    TASK = "task id"


class UnknownFormError(ValueError):
    """What was given can be none of the things that are traced; the message says which are."""


class UntracedError(Exception):
    """The ledger knows nothing of what was given; the message says what was looked for."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a given thing comes from.

    Attributes:
        given: As it was given, fit to be written down.
        form: What it is.
        partitions: Prompt set and partition of every order that it belongs to.
        marks: What of an order it is, such as "video", by order id.
        notes: What else should be known, in words.
        credential: The content credential in a local file, where it was looked for and there is one.
    """

    given: str
    form: Form
    partitions: tuple[tuple[str, str], ...]
    marks: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    credential: Credential | None = None


def find_origin(ledger: Ledger, given: str, *, bucket: str) -> Origin:
    """Find where a thing comes from.

    Args:
        ledger: The ledger.
        given: A local file, an s3:// URI, a SHA-256 in hex, `<set>/<partition>` or a task id; taken for the
            first of these that it can be.
        bucket: The bucket that the ledger's keys are in; empty when none is set.

    Raises:
        UnknownFormError: It can be none of them.
        UntracedError: The ledger knows nothing of it.
        OSError: The local file cannot be read.
    """
    if _is_file(given):
        return _of_file(ledger, given)
    if given.startswith("s3://") and given.isprintable():
        return _of_uri(ledger, given, bucket)
    if _SHA256.fullmatch(given):
        found = ledger.queries.with_hash(given.lower(), limit=MOST + 1)
        if not found:
            raise UntracedError(f"no video in {ledger.label} has, or was delivered with, the sha256 {given}")
        return _of_hash(given, Form.HASH, given.lower(), found)
    if match := _PARTITION.fullmatch(given):
        return _of_partition(ledger, given, *match.groups())
    if _TASK_ID.fullmatch(given):
        return _of_task(ledger, given)
    raise UnknownFormError(f"{given!r} is no file here and nothing else that can be traced: {ALLOWED}")


def _of_uri(ledger: Ledger, given: str, bucket: str) -> Origin:
    its_bucket, _, key = given.removeprefix("s3://").partition("/")
    place = order_folder(key)
    if place is None:
        raise UnknownFormError(
            f"{given} names no video: its key should end in "
            "<set>/<partition>/<fingerprint>-a<attempt>/video.mp4"
        )
    orders = ledger.queries.of_partition(place.prompt_set, place.partition)
    found = [order for order in orders if place.is_of(order.fingerprint, order.attempt)]
    if not found:
        raise UntracedError(f"{ledger.label} has no order whose files would be at {given}")
    notes = []
    if bucket and its_bucket != bucket:
        notes.append(f"the videos of this ledger are in the bucket {bucket}; found by the rest of the URI")
    if place.path not in {str(order.video_key).rpartition("/")[0] for order in found}:
        notes.append("the ledger has no file there; found by the last parts of the URI")
    return _origin(given, Form.URI, found, place.file, notes)


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # no name of a file: too long, or with a NUL
        return False


def _of_file(ledger: Ledger, given: str) -> Origin:
    path = Path(given)
    given = given.encode("utf-8", "replace").decode()  # a file's name may be no text
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = ledger.queries.with_hash(digest, limit=MOST + 1)
    if known and not any(order.credential for order in known):
        return _of_hash(given, Form.FILE, digest, known)
    credential, trouble = _read_credential(path)
    if known:
        found = _of_hash(given, Form.FILE, digest, known)
        return replace(found, credential=credential, notes=(*found.notes, *filter(None, [trouble])))
    order = _claimed(ledger, credential)
    if order is None:
        named = credential.task_id if credential else None
        claim = f"in it names task {named!r}, which no order has" if named else "of ours is not in it"
        raise UntracedError(
            f"{ledger.label} knows no video with the bytes of {given}, stored or delivered "
            f"(sha256 {digest}); {trouble or f'a content credential {claim}'}"
        )
    note = f"its bytes (sha256 {digest}) are not those that were stored; found by its content credential"
    found = _origin(given, Form.FILE, [order], "content credential", [note])
    return replace(found, credential=credential)


def _claimed(ledger: Ledger, credential: Credential | None) -> Order | None:
    """The order that a credential names; anybody can write one, so what is no task id is not looked for."""
    task_id = credential.task_id if credential else None
    return ledger.queries.with_task(task_id) if task_id and _TASK_ID.fullmatch(task_id) else None


def _read_credential(path: Path) -> tuple[Credential | None, str | None]:
    """What a file's content credential says; and why nobody could read one, if so."""
    from seedance_dagster.media.credentials import CredentialError, read_credential  # noqa: PLC0415  rarely needed

    try:
        return read_credential(path), None
    except CredentialError as error:
        return None, f"no content credential was read: {error}"


def _of_hash(given: str, form: Form, digest: str, found: list[Order]) -> Origin:
    notes = (f"more than {MOST} orders have these bytes; the first {MOST} are shown",)
    shown = found[:MOST]
    return Origin(
        given=given,
        form=form,
        partitions=_partitions(shown),
        marks={
            order.order_id: "video" if order.sha256 == digest else "video as delivered" for order in shown
        },
        notes=notes if len(found) > MOST else (),
    )


def _of_partition(ledger: Ledger, given: str, prompt_set: str, partition: str) -> Origin:
    if ledger.queries.ordered_among(prompt_set, [partition]):
        return Origin(given=given, form=Form.PARTITION, partitions=((prompt_set, partition),))
    takes = [f"{partition}.t{number}" for number in range(1, _MOST_TAKES + 1)]
    ordered = ledger.queries.ordered_among(prompt_set, takes)
    if ordered:
        known = ", ".join(f"{prompt_set}/{take}" for take in takes if take in ordered)
        raise UntracedError(f"{given} has several takes, name one: {known}")
    if ledger.reports.prompt(prompt_set, partition):
        raise UntracedError(f"nothing was ordered for {given} yet, says {ledger.label}")
    raise UntracedError(f"{ledger.label} knows no partition {given}, and there is no such file")


def _of_task(ledger: Ledger, given: str) -> Origin:
    order = ledger.queries.with_task(given)
    if order is None:
        raise UntracedError(
            f"no order in {ledger.label} has a task {given}, and there is no such file; "
            f"traced can be {ALLOWED}"
        )
    return _origin(given, Form.TASK, [order], "task")


def _origin(given: str, form: Form, found: list[Order], what: str, notes: Iterable[str] = ()) -> Origin:
    return Origin(
        given=given,
        form=form,
        partitions=_partitions(found),
        marks={order.order_id: what for order in found},
        notes=tuple(notes),
    )


def _partitions(found: Iterable[Order]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((order.prompt_set, order.partition) for order in found))

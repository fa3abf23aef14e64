"""The origin of a subject: the orders that an S3 URI, task id, partition, hash or file belongs to."""

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
"""A description of what can be traced."""

MAX_ORDERS = 20
"""The most orders that are shown for one hash: the vendor may deliver the same bytes for many tasks."""

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PARTITION = re.compile(r"([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)/([A-Za-z0-9][A-Za-z0-9._-]*)")
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")


class Form(StrEnum):
    """A form in which a subject can be named."""

    FILE = "file"
    URI = "s3 uri"
    HASH = "sha256"
    PARTITION = "partition"
    TASK = "task id"


class NotTraceableError(ValueError):
    """The subject has none of the forms that can be traced; the message lists them."""


class UnknownOriginError(Exception):
    """The ledger knows nothing about the subject; the message says what was searched for."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a subject.

    Attributes:
        subject: The subject as the caller named it, in printable text.
        partitions: Prompt set and partition of every order that it belongs to.
        marks: By order id, the part of the order that the subject is, such as "video".
        notes: Further facts for the reader.
        credential: The content credential in a local file, where it was read and there is one.
    """

    subject: str
    form: Form
    partitions: tuple[tuple[str, str], ...]
    marks: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    credential: Credential | None = None


def find_origin(ledger: Ledger, subject: str, *, bucket: str) -> Origin:
    """Find the origin of a subject.

    Args:
        subject: A local file, an s3:// URI, a SHA-256 in hex, `<set>/<partition>` or a task id; the first
            form that fits counts.
        bucket: The bucket of the ledger's keys; empty when none is set.

    Raises:
        NotTraceableError: It has none of these forms.
        UnknownOriginError: The ledger knows nothing about it.
        OSError: The local file cannot be read.
    """
    if _is_file(subject):
        return _of_file(ledger, subject)
    if subject.startswith("s3://") and subject.isprintable():
        return _of_uri(ledger, subject, bucket)
    if _SHA256.fullmatch(subject):
        orders = ledger.queries.with_hash(subject.lower(), limit=MAX_ORDERS + 1)
        if not orders:
            raise UnknownOriginError(
                f"no video in {ledger.label} has the sha256 {subject}, as stored or as delivered"
            )
        return _of_hash(subject, Form.HASH, subject.lower(), orders)
    if match := _PARTITION.fullmatch(subject):
        return _of_partition(ledger, subject, *match.groups())
    if _TASK_ID.fullmatch(subject):
        return _of_task(ledger, subject)
    raise NotTraceableError(f"{subject!r} is not a file here and cannot be traced; allowed are {ALLOWED}")


def _of_uri(ledger: Ledger, uri: str, bucket: str) -> Origin:
    uri_bucket, _, key = uri.removeprefix("s3://").partition("/")
    folder = order_folder(key)
    if folder is None:
        raise NotTraceableError(
            f"{uri} is not the URI of a video; its key must end in "
            "<set>/<partition>/<fingerprint>-a<attempt>/video.mp4"
        )
    orders = ledger.queries.of_partition(folder.prompt_set, folder.partition)
    owners = [
        order
        for order in orders
        if (order.prompt_set, order.partition) == (folder.prompt_set, folder.partition)
        and folder.belongs_to(order.fingerprint, order.attempt)
    ]
    if not owners:
        raise UnknownOriginError(f"{ledger.label} has no order with files at {uri}")
    notes = []
    if bucket and uri_bucket != bucket:
        notes.append(f"the videos of this ledger are in bucket {bucket}; found by the rest of the URI")
    if folder.path not in {str(order.video_key).rpartition("/")[0] for order in owners}:
        notes.append("the ledger has no file at this URI; found by the last parts of its key")
    return _origin(uri, Form.URI, owners, folder.file, notes)


def _is_file(subject: str) -> bool:
    try:
        return Path(subject).is_file()
    except (OSError, ValueError):  # not a file name: too long, or with a NUL
        return False


def _of_file(ledger: Ledger, name: str) -> Origin:
    path = Path(name)
    name = name.encode("utf-8", "replace").decode()  # a file name may not be valid text
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    orders = ledger.queries.with_hash(digest, limit=MAX_ORDERS + 1)
    if orders and not any(order.credential for order in orders):
        return _of_hash(name, Form.FILE, digest, orders)
    credential, problem = _read_credential(path)
    if orders:
        origin = _of_hash(name, Form.FILE, digest, orders)
        return replace(origin, credential=credential, notes=(*origin.notes, *filter(None, [problem])))
    order = _named_order(ledger, credential)
    if order is None:
        task_id = credential.task_id if credential else None
        why = (
            f"its content credential names task {task_id!r}, which no order has"
            if task_id
            else "it has no content credential of this package"
        )
        raise UnknownOriginError(
            f"{ledger.label} has no video with the bytes of {name}, as stored or as delivered "
            f"(sha256 {digest}); {problem or why}"
        )
    note = f"its bytes (sha256 {digest}) are not the stored ones; found by its content credential"
    return replace(_origin(name, Form.FILE, [order], "content credential", [note]), credential=credential)


def _named_order(ledger: Ledger, credential: Credential | None) -> Order | None:
    """Return the order that a credential names; its task id may be anything, since anybody can write one."""
    task_id = credential.task_id if credential else None
    return ledger.queries.with_task(task_id) if task_id and _TASK_ID.fullmatch(task_id) else None


def _read_credential(path: Path) -> tuple[Credential | None, str | None]:
    """Return a file's content credential, and the problem if it could not be read."""
    from seedance_dagster.media.credentials import CredentialError, read_credential  # noqa: PLC0415  rarely needed

    try:
        return read_credential(path), None
    except CredentialError as error:
        return None, f"its content credential could not be read: {error}"


def _of_hash(subject: str, form: Form, digest: str, orders: list[Order]) -> Origin:
    note = f"more than {MAX_ORDERS} orders have these bytes; the first {MAX_ORDERS} are shown"
    shown = orders[:MAX_ORDERS]
    return Origin(
        subject=subject,
        form=form,
        partitions=_partitions(shown),
        marks={
            order.order_id: "video" if order.sha256 == digest else "video as delivered" for order in shown
        },
        notes=(note,) if len(orders) > MAX_ORDERS else (),
    )


def _of_partition(ledger: Ledger, subject: str, prompt_set: str, partition: str) -> Origin:
    if ledger.partitions.with_orders(prompt_set, [partition]):
        return Origin(subject=subject, form=Form.PARTITION, partitions=((prompt_set, partition),))
    if ledger.reports.prompt(prompt_set, partition):
        raise UnknownOriginError(f"nothing has been ordered for {subject} yet, according to {ledger.label}")
    raise UnknownOriginError(f"{ledger.label} has no partition {subject}, and there is no such file")


def _of_task(ledger: Ledger, task_id: str) -> Origin:
    order = ledger.queries.with_task(task_id)
    if order is None:
        raise UnknownOriginError(
            f"no order in {ledger.label} has a task {task_id}, and there is no such file; "
            f"allowed are {ALLOWED}"
        )
    return _origin(task_id, Form.TASK, [order], "task")


def _origin(subject: str, form: Form, orders: list[Order], part: str, notes: Iterable[str] = ()) -> Origin:
    return Origin(
        subject=subject,
        form=form,
        partitions=_partitions(orders),
        marks={order.order_id: part for order in orders},
        notes=tuple(notes),
    )


def _partitions(orders: Iterable[Order]) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((order.prompt_set, order.partition) for order in orders))

"""Canaries: the API key, the S3 secret and links to the vendor's files must not appear anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy as sa

from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.tables.schema import metadata

if TYPE_CHECKING:
    from chaos.evidence import Evidence
    from chaos.worker import Environment


_MAY_LINK = ("ledger", "books.json")
"""Parts of the names of files that may hold links to the vendor's files; the books have every request."""


def leaks(environment: Environment, evidence: Evidence) -> list[str]:
    """Return a message for each place where a secret was found."""
    secrets = {
        "the API key": environment.plan.api_key,
        "the S3 secret": environment.environ["AWS_SECRET_ACCESS_KEY"],
    }
    if environment.plan.webhook_secret is not None:
        secrets["the webhook's secret"] = environment.plan.webhook_secret
    leaked = []
    for name, content in _contents(environment, evidence):
        leaked += [f"{kind} is in {name}" for kind, secret in secrets.items() if _holds(content, secret)]
        if b"not-for-manifests" in content and name.endswith("manifest.json"):
            leaked.append(f"the signature of a reference is in {name}")
        if b"/ephemeral/" in content and not any(part in name for part in _MAY_LINK):
            leaked.append(f"a link to a file of the vendor is in {name}")
    return leaked


def _holds(content: bytes, secret: str) -> bool:
    forms = {secret, quote(secret, safe=""), secret[::-1]}
    return any(form.encode() in content for form in forms) or base64.b64encode(secret.encode()) in content


def _contents(environment: Environment, evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    for path in sorted(environment.folder.rglob("*")):
        # The emulator keeps its own state in this folder.
        if path.is_file() and environment.folder / "emulator" not in path.parents:
            yield str(path.relative_to(environment.folder)), path.read_bytes()
    yield from evidence.objects.items()
    if environment.plan.database == "postgresql":
        database = Database(environment.settings.ledger_url)
        with database.reading() as connection:
            for table in metadata.tables.values():
                rows = connection.execute(sa.select(table)).all()
                yield f"ledger table {table.name}", repr(rows).encode()
        database.close()

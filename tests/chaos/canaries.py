"""The canaries: the API key and the S3 secret must stand nowhere, nor the links to the vendor's files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import sqlalchemy as sa

from seedance_dagster.ledger.database import Database
from seedance_dagster.ledger.schema import metadata

if TYPE_CHECKING:
    from chaos.evidence import Evidence
    from chaos.worker import Surroundings


def leaks(around: Surroundings, evidence: Evidence) -> list[str]:
    """Where a secret was found, in words."""
    secrets = {
        "the API key": around.plan.api_key,
        "the S3 secret": around.environ["AWS_SECRET_ACCESS_KEY"],
    }
    found = []
    for name, content in _contents(around, evidence):
        found += [f"{what} stands in {name}" for what, secret in secrets.items() if _holds(content, secret)]
        if b"not-for-manifests" in content and name.endswith("manifest.json"):
            found.append(f"a reference's signature stands in {name}")
        if b"/ephemeral/" in content and "ledger" not in name:
            found.append(f"a link to the vendor's file stands in {name}")
    return found


def _holds(content: bytes, secret: str) -> bool:
    dresses = {secret, quote(secret, safe=""), secret[::-1]}
    return any(dress.encode() in content for dress in dresses) or base64.b64encode(secret.encode()) in content


def _contents(around: Surroundings, evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    for path in sorted(around.folder.rglob("*")):
        # The emulator keeps its own state there.
        if path.is_file() and around.folder / "emulator" not in path.parents:
            yield str(path.relative_to(around.folder)), path.read_bytes()
    yield from evidence.objects.items()
    if around.plan.database == "postgresql":
        database = Database(around.found.ledger_url)
        with database.reading() as connection:
            for table in metadata.tables.values():
                rows = connection.execute(sa.select(table)).all()
                yield f"ledger table {table.name}", repr(rows).encode()
        database.close()

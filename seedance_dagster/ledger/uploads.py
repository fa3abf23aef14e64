"""Files at the vendor's file service, reused while their links are valid."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerPart
from seedance_dagster.ledger.tables.schema import uploads


@dataclass(frozen=True)
class Upload:
    """A file at the vendor's file service: its link, which may be signed, and when it was uploaded (UTC)."""

    url: str = field(repr=False)
    uploaded_at: datetime


class Uploads(LedgerPart):
    """The part of the ledger that remembers uploaded files, by account and the sha256 of their content."""

    def find(self, account: str, sha256: str, *, since: datetime) -> Upload | None:
        """Return an upload of a file that is not older than a time; None where there is none."""
        query = sa.select(uploads.c.url, uploads.c.uploaded_at).where(
            uploads.c.account == account, uploads.c.sha256 == sha256, uploads.c.uploaded_at >= since
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Upload(row.url, row.uploaded_at)

    def remember(self, account: str, sha256: str, upload: Upload) -> None:
        """Remember an uploaded file, in place of an earlier upload of it."""
        key = sa.and_(uploads.c.account == account, uploads.c.sha256 == sha256)
        with self._database.writing() as connection:
            connection.execute(uploads.delete().where(key))
            connection.execute(
                uploads.insert().values(
                    account=account, sha256=sha256, url=upload.url, uploaded_at=upload.uploaded_at
                )
            )

"""What Dagster was last told about each prompt, so that an edited one is told again."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from seedance_dagster.ledger.base import LedgerBase
from seedance_dagster.ledger.schema import reported_prompts


class PromptsTold(LedgerBase):
    """The part of the ledger that remembers the reported prompts."""

    def prompts_reported(self, prompt_set: str) -> dict[str, str]:
        """Fingerprint last reported to Dagster, by partition."""
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(reported_prompts.c.partition, reported_prompts.c.fingerprint).where(
                    reported_prompts.c.prompt_set == prompt_set
                )
            )
            return {row.partition: row.fingerprint for row in rows}

    def note_prompts_reported(self, prompt_set: str, fingerprints: Mapping[str, str]) -> None:
        """Remember what was reported just now."""
        with self._database.writing() as connection:
            for partition, fingerprint in fingerprints.items():
                here = (
                    reported_prompts.c.prompt_set == prompt_set,
                    reported_prompts.c.partition == partition,
                )
                connection.execute(reported_prompts.delete().where(*here))
                connection.execute(
                    reported_prompts.insert().values(
                        prompt_set=prompt_set, partition=partition, fingerprint=fingerprint
                    )
                )

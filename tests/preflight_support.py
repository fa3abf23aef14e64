"""Probing of references by an engine that can neither send nor store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factories import open_ledger

from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.engine.ordering.preflight import Preflight, preflight
from seedance_dagster.engine.ordering.quote import Quote, quote
from seedance_dagster.engine.policy import Policy
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.media.references.host import ProbeLimits
from seedance_dagster.prompts.models import Prompt, PromptPartition, PromptSet

REQUEST = OrderRequest(idempotency_key="c", run_id="r")
QUICK = ProbeLimits(max_bytes=300_000, part_bytes=50_000, idle_s=0.3, total_s=0.8)


@dataclasses.dataclass(frozen=True)
class Looking:
    """An engine that only probes references; a call returns the preflight of some prompts."""

    services: Services

    def __call__(
        self, *prompts: dict[str, list[str]], limits: ProbeLimits = QUICK, **policy: Any
    ) -> Preflight:
        """Probe the references of prompts, each given as its lists of URLs."""
        changed = dataclasses.replace(
            self.services, policy=dataclasses.replace(self.services.policy, **policy)
        )
        return preflight(changed, quoted(changed, *prompts), limits=limits)


@contextmanager
def looking(folder: Path, clock: Any) -> Iterator[Looking]:
    """Open an engine on an empty ledger that can neither send nor store: a preflight needs neither."""
    policy = Policy(allow_private_hosts=True)
    with open_ledger(folder, clock) as ledger:
        yield Looking(Services(ledger=ledger, open_client=None, store=None, policy=policy, clock=clock))  # type: ignore[arg-type]


def quoted(services: Services, *prompts: dict[str, list[str]]) -> list[Quote]:
    """Return the quotes of partitions with these references."""
    return quote(services, wanted(*prompts), REQUEST, prompt_set="spots")


def wanted(*prompts: dict[str, list[str]]) -> list[PromptPartition]:
    """Return partitions p0, p1, ... with these references."""
    made = tuple(
        Prompt(
            id=f"p{number}",
            request=GenerationRequest(
                task_type="seedance-2",
                prompt="a cat",
                mode=Mode.OMNI_REFERENCE,
                **{name: tuple(urls) for name, urls in lists.items()},
            ),
        )
        for number, lists in enumerate(prompts)
    )
    return list(PromptSet("spots", made).partitions.values())

"""What the account says: how many tasks at once, and whether there are credits again."""

from __future__ import annotations

from seedance_dagster.api.errors import SeedanceError
from seedance_dagster.generation.threads import in_thread
from seedance_dagster.generation.worker import Worker

PLAN_LIMIT = "plan_limit"


async def learn_account(worker: Worker) -> None:
    """Ask for the plan's limit, for all processes; an account page that is down changes nothing."""
    try:
        account = await worker.client.account()
    except SeedanceError:
        return
    if account.max_concurrent_tasks is not None:
        await in_thread(worker.services.ledger.learn, PLAN_LIMIT, account.max_concurrent_tasks)


async def in_flight_limit(worker: Worker) -> int | None:
    """Tasks at once: the stricter of what the team set and what the plan allows; None for no limit."""
    learned = await in_thread(worker.services.ledger.learned, PLAN_LIMIT)
    limits = [limit for limit in (worker.services.policy.max_in_flight, learned) if limit is not None]
    return min(limits, default=None)

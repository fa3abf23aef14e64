"""How the engine works: limits, numbers of workers, times. Decided by whoever builds the `Services`."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.ledger.budgets import Budget


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The engine's settings.

    Attributes:
        max_in_flight: Tasks at the vendor at once, over all processes of a ledger; None: the
            account's own limit.
        budgets: Hard limits for all prompt sets together.
        off_peak_only: Submit only outside the vendor's peak hours (09:00-15:00 UTC).
        max_rejections_per_day: Refused prompts of a UTC day after which submitting stops.
        stale_after_s: Seconds after which a task that is still at work is reported.
        attempts: How often vendor trouble may start an order anew, the first time included.
        allow_private_hosts: Videos and references may lie at loopback and private addresses.
        preflight: Look at reference files before an order is accepted, and believe what is known of them.
        submit_workers: POSTs at once.
        poll_workers: Polls at once.
        collect_workers: Transfers at once; each needs one temporary file of a video's size.
        lease_s: Seconds after which a worker that was killed no longer holds its orders.
        grace_s: Seconds between the two readings of the vendor's history that free an uncertain order.
        linger_s: Seconds a run stays when nothing is due, since starting another costs about as much.
    """

    max_in_flight: int | None = None
    budgets: tuple[Budget, ...] = ()
    off_peak_only: bool = False
    max_rejections_per_day: int = 100
    stale_after_s: float = 12 * 3600.0
    attempts: int = 2
    allow_private_hosts: bool = False
    preflight: bool = True
    submit_workers: int = 4
    poll_workers: int = 8
    collect_workers: int = 4
    lease_s: float = 60.0
    linger_s: float = 5.0
    grace_s: float = 600.0

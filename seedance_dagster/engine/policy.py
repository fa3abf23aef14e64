"""The engine's settings: limits, numbers of workers and waits. The builder of the `Services` chooses them."""

from __future__ import annotations

from dataclasses import dataclass

from seedance_dagster.ledger.budgets import Budget
from seedance_dagster.ledger.work.leases import LEASE_S


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """Waits of the engine, in seconds.

    Attributes:
        take_s: Until an idle worker pool looks for due orders again; another process may have made some.
        gather_s: From waking a worker pool until it looks for work, so that one look finds several orders.
        end_check_s: Between two checks of whether a run is over.
        maintenance_s: Between two rounds of maintenance.
        account_s: Between two reads of the account in a long run.
        waiting_s: Between two reports of what a run waits for.
        batch_s: How long a few orders wait for others to share a run, while tasks are in flight.
        min_poll_s: Shortest wait between two polls of a task.
        max_poll_s: Longest wait between two polls of a task.
        heavy_round_s: The history guides polls where GETs alone would look at each task less often than this.
        sweep_s: From the start of one reading of the history for running tasks to the start of the next.
        listed_s: How long an up-to-date history may show a task as running after its end.
        shown_running_s: How long the poll of a task that such a history shows as running is postponed.
        failed_upload_s: Wait of an order whose reference files could not be uploaded.
        failed_poll_s: Wait after a poll that failed.
        retry_s: Wait before the next attempt after vendor trouble.
        transfer_s: Wait after the first failed transfer of a video; doubled after each further one.
        max_transfer_s: Longest wait after a failed transfer.
        signed_s: How long after storing a signed video its worker may still find it overwritten.
        answer_s: How long a cancelled worker waits for the answer to a POST under way.
        reconcile_s: Between two scans of the vendor's history for an uncertain order.
        history_lag_s: How late the vendor's history may list a task.
        index_lease_s: How long writing an index may take before another writer tries.
        index_wait_s: Between two tries to get that lease.
    """

    take_s: float = 1.0
    gather_s: float = 0.05
    end_check_s: float = 0.1
    maintenance_s: float = 2.0
    account_s: float = 30.0
    waiting_s: float = 60.0
    batch_s: float = 60.0
    min_poll_s: float = 2.0
    max_poll_s: float = 120.0
    heavy_round_s: float = 60.0
    sweep_s: float = 30.0
    listed_s: float = 120.0
    shown_running_s: float = 600.0
    failed_upload_s: float = 60.0
    failed_poll_s: float = 15.0
    retry_s: float = 30.0
    transfer_s: float = 5.0
    max_transfer_s: float = 900.0
    signed_s: float = 20.0
    answer_s: float = 10.0
    reconcile_s: float = 60.0
    history_lag_s: float = 120.0
    index_lease_s: float = 30.0
    index_wait_s: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The engine's settings.

    Attributes:
        max_in_flight: Tasks in flight at once, over all processes; None for the account's own limit.
        max_advancers: Runs that share the work at once.
        budgets: Hard limits for all prompt sets together.
        off_peak_only: Submit only outside the vendor's peak hours (09:00-15:00 UTC).
        max_rejections_per_day: Rejections in a UTC day after which nothing is submitted.
        stale_after_s: Seconds after which a task that is still running is reported.
        attempts: How many attempts an order has when the vendor has trouble, the first included.
        allow_private_hosts: Videos and references may be at loopback and private addresses.
        min_download_bytes_per_s: The rate over a minute below which a download is given up for now.
        presign_references: Give the vendor presigned links to the team's own files, and upload none.
        preflight: Probe reference files before ordering, and trust what is known of them.
        submit_workers: POSTs at once.
        poll_workers: Polls at once.
        collect_workers: Transfers at once; each needs one temporary file of a video's size.
        lease_s: Seconds after which a killed worker no longer holds its orders.
        grace_s: Seconds between the two scans of the vendor's history that requeue an uncertain order.
        linger_s: Seconds a run stays when nothing is due, since starting another costs about as much.
        pacing: All other waits.
    """

    max_in_flight: int | None = None
    max_advancers: int = 1
    budgets: tuple[Budget, ...] = ()
    off_peak_only: bool = False
    max_rejections_per_day: int = 100
    stale_after_s: float = 12 * 3600.0
    attempts: int = 2
    allow_private_hosts: bool = False
    min_download_bytes_per_s: float = 10_000.0
    presign_references: bool = False
    preflight: bool = True
    submit_workers: int = 4
    poll_workers: int = 8
    collect_workers: int = 4
    lease_s: float = LEASE_S
    linger_s: float = 5.0
    grace_s: float = 600.0
    pacing: Pacing = Pacing()

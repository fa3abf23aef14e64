"""The last look at a claim before its POST: pauses, off-peak hours, the throttle, and last the lease."""

from __future__ import annotations

from seedance_dagster.api.last_look import LastLook
from seedance_dagster.counting import counted
from seedance_dagster.engine.worker import Worker
from seedance_dagster.ledger.errors import LedgerBehindError
from seedance_dagster.ledger.order import Order
from seedance_dagster.threads import in_thread

_LASTS_S = 5.0  # a look takes milliseconds; on a stalled machine it is taken again


class ClaimLook(LastLook):
    """The last look at a worker's claim; once it lets the POST leave, the order is possibly sent."""

    def __init__(self, worker: Worker, order: Order) -> None:
        lease_s = worker.services.policy.lease_s
        # The look requires that half of the lease is left, so the lease outlasts the look.
        super().__init__(lasts_s=min(_LASTS_S, lease_s / 4))
        self._worker = worker
        self._order = order
        self._margin_s = lease_s / 2

    async def reason_to_wait(self) -> str | None:
        """Return the reason why the order may not be sent now; raise `LedgerError`."""
        return await in_thread(self._reason)

    def leave(self) -> None:
        """Let the POST leave, and note it."""
        super().leave()
        self._worker.possibly_sent.add(self._order.order_id)

    def _reason(self) -> str | None:
        services = self._worker.services
        with services.ledger.reading_together():
            try:
                self._worker.seen.look()
            except LedgerBehindError as error:
                return str(error)
            throttle = services.throttle()
            if throttle.slots == 0:
                return throttle.reasons[0]
            if throttle.slots is not None and services.ledger.workload.in_flight() > throttle.slots:
                return f"only {counted(throttle.slots, 'task')} may be in flight now"
            if not services.ledger.leases.holds(self._order, margin_s=self._margin_s):
                # Another worker may soon reconcile this claim: what is not sent cannot be paid twice.
                return "the worker's lease ran low before the POST"
        return None

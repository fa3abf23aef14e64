"""Every way in which the vendor's API can let a caller down, in one tree.

SeedanceError
├── NoTaskMadeError              a POST was refused: nothing was made, nothing is billed
│   ├── AuthenticationError      the key is missing, malformed or refused (any call)
│   ├── InsufficientCreditsError out of credits
│   ├── PlanLimitError           too many active tasks for the plan
│   ├── RateLimitError           429, with the seconds to wait when the vendor says so
│   ├── InvalidRequestError      the request itself was refused
│   └── NotSentError             no connection: the POST never left
├── UnknownOutcomeError          a POST left and its answer was lost, late, a 5xx or unreadable
├── NotFoundError                no such task
├── VendorError                  a GET was answered by 5xx or something unreadable, retries included
├── TransportError               a GET got no answer, retries included
└── UnknownPriceError            no price is known for the request

Only `NoTaskMadeError` says that sending again is safe.
"""

from __future__ import annotations


class SeedanceError(Exception):
    """Base of all API errors; the message is for people and holds no secret."""


class NoTaskMadeError(SeedanceError):
    """The request was refused before a task was made; nothing was billed."""


class AuthenticationError(NoTaskMadeError):
    """The API key is missing, malformed or refused (HTTP 401 or 403)."""


class InsufficientCreditsError(NoTaskMadeError):
    """The account is out of credits."""


class PlanLimitError(NoTaskMadeError):
    """As many tasks are active as the plan allows.

    Attributes:
        active: Active tasks, if the vendor said so.
    """

    def __init__(self, message: str, *, active: int | None = None) -> None:
        super().__init__(message)
        self.active = active


class RateLimitError(NoTaskMadeError):
    """Too many requests.

    Attributes:
        retry_after_s: Seconds the vendor asks to wait; None when it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidRequestError(NoTaskMadeError):
    """The vendor refused the request itself; sending it again unchanged is pointless."""


class NotSentError(NoTaskMadeError):
    """No connection could be made, so the POST never left."""


class UnknownOutcomeError(SeedanceError):
    """A POST left and whether it made a task is unknown: reconcile before sending again."""


class NotFoundError(SeedanceError):
    """The vendor knows no such task."""


class VendorError(SeedanceError):
    """A GET was answered by a server error or by something that cannot be read.

    Attributes:
        retry_after_s: Seconds the vendor asks to wait; None when it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TransportError(SeedanceError):
    """A GET got no answer."""


class UnknownPriceError(SeedanceError):
    """No price is known for a request: it is not sent."""

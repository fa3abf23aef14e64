"""The errors of the vendor's API, in one tree.

SeedanceError
├── NoTaskMadeError              a POST was refused: no task was created, nothing is billed
│   ├── AuthenticationError      the key is missing, malformed or refused (any call)
│   ├── InsufficientCreditsError the account is out of credits
│   ├── PlanLimitError           the plan allows no further active task
│   ├── RateLimitError           too many requests, with the seconds to wait if the vendor says so
│   ├── InvalidRequestError      the request itself was refused
│   │   └── UploadRefusedError   the file service refused a reference file, or the plan has no uploads
│   ├── NotSentError             no connection: the POST was never sent
│   ├── GatewayError             something in front of the API answered with a page
│   ├── AddressError             the address redirects, or is not the API's
│   └── HeldBackError            the last look found a reason not to send the POST
├── UnknownOutcomeError          a POST was sent and its reply was lost, late, a 5xx or unreadable
│   └── ForeignReplyError        the reply holds a task of another request
├── NotFoundError                the vendor has no such task
├── VendorError                  a GET got a 5xx or an unreadable reply, after all retries
│   └── WebPageError             it got a page and HTTP 200, as from a website
├── TransportError               a GET got no reply, after all retries
└── UnknownPriceError            the price of a request is not known

Sending again is safe after a `NoTaskMadeError` only.
"""

from __future__ import annotations

from seedance_dagster.net.secrets import SafeError


class SeedanceError(SafeError):
    """Base class of all API errors; the message is for people and contains no secret."""


class NoTaskMadeError(SeedanceError):
    """A request that was refused before a task was created; nothing was billed."""


class AuthenticationError(NoTaskMadeError):
    """An API key that is missing, malformed or refused (HTTP 401 or 403).

    Attributes:
        reply: The vendor's reply, without the advice to check the key.
    """

    def __init__(self, message: str, *, reply: str | None = None) -> None:
        super().__init__(message)
        self.reply = reply or message


class InsufficientCreditsError(NoTaskMadeError):
    """An account that is out of credits."""


class PlanLimitError(NoTaskMadeError):
    """A limit of the plan: as many tasks are active as it allows.

    Attributes:
        active: Number of active tasks, if the vendor said so.
    """

    def __init__(self, message: str, *, active: int | None = None) -> None:
        super().__init__(message)
        self.active = active


class RateLimitError(NoTaskMadeError):
    """Too many requests in a short time.

    Attributes:
        retry_after_s: Seconds that the vendor asks to wait; None when it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidRequestError(NoTaskMadeError):
    """A request that the vendor refused as such; sending it again unchanged is pointless.

    Attributes:
        failure: The class of the failure, such as "invalid" or "moderation".
    """

    def __init__(self, message: str, *, failure: str = "invalid") -> None:
        super().__init__(message)
        self.failure = failure


class UploadRefusedError(InvalidRequestError):
    """A reference file that the file service refused, so that the POST was never sent."""


class GatewayError(NoTaskMadeError):
    """A page from something in front of the API, such as bot protection, in place of an answer."""


class AddressError(NoTaskMadeError):
    """An address that redirects elsewhere, where the API key is not sent, or knows no such path."""


class HeldBackError(NoTaskMadeError):
    """A POST that was not sent, since something changed while it waited; the message says what."""


class NotSentError(NoTaskMadeError):
    """A POST that was never sent, since no connection could be made."""


class UnknownOutcomeError(SeedanceError):
    """A POST that was sent and may have created a task: reconcile before sending again."""


class ForeignReplyError(UnknownOutcomeError):
    """A POST that was answered with a task that echoes another request."""


class NotFoundError(SeedanceError):
    """A task that the vendor does not have."""


class VendorError(SeedanceError):
    """A GET that was answered with a server error or an unreadable reply.

    Attributes:
        retry_after_s: Seconds that the vendor asks to wait; None when it does not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class WebPageError(VendorError):
    """A GET that was answered with a page and HTTP 200: the address may be a website's."""


class TransportError(SeedanceError):
    """A GET that got no reply."""


class UnknownPriceError(SeedanceError):
    """A request that is not sent, since its price is not known."""

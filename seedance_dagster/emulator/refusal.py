"""A call that the vendor turns down."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818  # it is an answer, not an error of the emulator
    """A call is answered with an error, and nothing was made or billed.

    Args:
        status: HTTP status and envelope code.
        message: The envelope's message.
        kind: A short name under which the books count it.
        retry_after_s: Seconds for the `Retry-After` header, if one is sent.
    """

    def __init__(self, status: int, message: str, *, kind: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.retry_after_s = retry_after_s


def invalid(message: str) -> Refusal:
    """The refusal of a request that breaks a rule of the vendor's page."""
    return Refusal(400, f"invalid request: {message}", kind="invalid")

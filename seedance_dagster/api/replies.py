"""Replies of the vendor: HTTP status, the envelope's code and its message together say what happened."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    GatewayError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    PlanLimitError,
    RateLimitError,
    SeedanceError,
    VendorError,
    WebPageError,
)
from seedance_dagster.api.failures import classify_refusal
from seedance_dagster.api.refusals import refusals
from seedance_dagster.api.shapes import error_texts, texts_of
from seedance_dagster.api.values import retry_after_s, whole_number
from seedance_dagster.net.redaction import redact, strip_query
from seedance_dagster.net.secrets import spellings

_SUCCESS = range(200, 300)
_MOST_DEPTH = 100
_MOST_LOCATION = 300
_API_PATH = re.compile("/(?:api|account)/.*", re.DOTALL)
_MOST_SEARCHED = 8000  # characters of a message, which is cut further once it is redacted
_UNREADABLE = -1
_ACTIVE_TASKS = re.compile(r"active task count ([0-9]{1,6})\b", re.IGNORECASE)
_OPEN_CLIENT_ERRORS = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, 499}
"""4xx of a host that gave up waiting: the request may still have been carried out."""
_GATEWAY = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,  # a network that wants a login first
}
"""Statuses with which a gateway turns a request away before the API sees it."""
_SAME_ON_PAGES = {402, 413, 414, 429, 431}
"""4xx that mean the same whoever answers; a page with any other 4xx is a gateway's."""
_NO_SUCH_PATH = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
_REDIRECTS = {301, 302, 303, 307, 308}
_CHECK_ADDRESS = "set GOAPI_BASE_URL to the API's root, such as https://api.goapi.ai"


@dataclass(frozen=True)
class Reply:
    """An HTTP reply.

    Attributes:
        status: The HTTP status.
        code: The envelope's code; -1 when it is not a number, the HTTP status when it is missing.
        message: The vendor's message, for people.
        data: The envelope's data.
        readable: True when the body was an envelope.
        broken: True when the body began as an envelope and cannot be read: it may hold a task.
        page: True when the body is a page, such as a gateway in front of the API sends.
        json: True when the body was an object of JSON, an envelope or not.
        location: Where a redirect leads, without query; empty for any other reply.
        retry_after_s: Seconds that the vendor asks to wait.
    """

    status: int
    code: int
    message: str
    data: Any
    readable: bool
    retry_after_s: float | None
    broken: bool = False
    page: bool = False
    json: bool = True
    location: str = ""

    @property
    def ok(self) -> bool:
        """True for a success by both status and code."""
        return self.readable and self.status in _SUCCESS and self.code in _SUCCESS

    @property
    def vendor_codes(self) -> frozenset[int]:
        """The envelope's code, and that of the error in its data, where there is one."""
        error = self.data.get("error") if isinstance(self.data, dict) else None
        inner = whole_number(error.get("code")) if isinstance(error, dict) else None
        return frozenset({self.code} if inner is None else {self.code, inner})


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Parse a reply of any content, and remove secrets of this process that the vendor may quote.

    Args:
        status: The HTTP status.
        headers: By name in lower case.
        body: The raw bytes.
    """
    retry_after = retry_after_s(headers.get("retry-after"), date=headers.get("date"))
    try:
        envelope = json.loads(body.decode("utf-8-sig", "replace"), strict=False)  # a raw line break in a text
        # Mostly there is none: one search of all the text takes a fraction of a search of each part.
        text, secrets = json.dumps(envelope, ensure_ascii=False), spellings()
        envelope = _cleaned(envelope, secrets if any(secret in text for secret in secrets) else ())
    except (ValueError, RecursionError):
        envelope = None
    if isinstance(envelope, dict) and "task_id" in envelope and "data" not in envelope:
        # The task itself, without an envelope; in an error it may be another order's.
        codes = {status, whole_number(envelope.get("code", status))}
        envelope = {"code": status, "data": envelope if codes <= {*_SUCCESS} else None} | envelope
    if not isinstance(envelope, dict) or not envelope.keys() & {"code", "data", "message"}:
        start = body[:100].lstrip(b"\xef\xbb\xbf \t\r\n")
        page = start.startswith(b"<")
        kind = "a web page" if page else "not an answer of the API" if start else "an empty answer"
        return Reply(
            status,
            status,
            _words(_bare_texts(envelope)) or kind,
            None,
            readable=False,
            retry_after_s=retry_after,
            broken=envelope is None and start.startswith(b"{"),
            page=page,
            json=isinstance(envelope, dict),
            location=strip_query(headers.get("location", ""))[:_MOST_LOCATION]
            if status in _REDIRECTS
            else "",
        )
    code = whole_number(envelope.get("code", status))
    data = envelope.get("data")
    inner = data if isinstance(data, dict) else {}
    texts = (
        *(texts_of(envelope["code"]) if code is None else ()),  # a word, such as "insufficient_credits"
        *texts_of(envelope.get("message")),
        *error_texts(inner.get("error")),
        *texts_of(inner.get("logs")),
        *_bare_texts(envelope),
    )
    return Reply(
        status,
        _UNREADABLE if code is None else code,
        _words(texts) or f"HTTP {status}",
        data,
        True,
        retry_after,
    )


def _bare_texts(body: object) -> Iterator[str]:
    """Yield the texts of a body under the names that other servers use."""
    if isinstance(body, dict):
        for name in ("error", "errors", "msg", "detail", "Message", "title"):
            yield from texts_of(body.get(name))


def _words(texts: Iterable[str]) -> str:
    words = "; ".join(dict.fromkeys(filter(None, map(str.strip, texts))))
    clean: str = redact(words[:_MOST_SEARCHED])  # it may contain a reference's signed link
    return clean[:1000]


def proves_no_task(reply: Reply) -> bool:
    """Return True when HTTP status and code prove that a POST made no task; words prove nothing.

    | HTTP | code | why |
    |---|---|---|
    | 4xx but 408, 425, 499 | any | the 4xx decides; its code may be internal |
    | 2xx | 4xx but 408, 425, 499 | an error inside a success |
    | 2xx | 10001 | rate limit |
    | 2xx, 5xx | 10002, also of the error in its data | out of credits |
    | 503, 511 with a page | | a gateway turned it away |
    | a redirect | | nothing behind it saw the request |

    Source: "Refusals" in docs/vendor.md. All else may have made a task: any other 5xx, a
    success without a task, and a body that breaks off.
    """
    if reply.broken:
        return False
    if is_client_error(reply.status):
        return True
    if not reply.readable:
        return reply.status in _REDIRECTS or (reply.page and reply.status in _GATEWAY)
    codes = refusals().codes
    out_of_credits = bool(reply.vendor_codes & codes.out_of_credits)
    if reply.status in _SUCCESS:
        return is_client_error(reply.code) or reply.code in codes.rate_limit or out_of_credits
    return reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and out_of_credits


def refusal(reply: Reply, *, sent: str = "") -> SeedanceError | None:  # noqa: PLR0911  a table reads best flat
    """Return the error of a reply that refuses a request; None for a success or a server error.

    Status and code prove that it was refused. The vendor's words only say why, and only words that do not
    occur in what was sent, since a message may quote it.

    Args:
        reply: The reply.
        sent: The text of the request's body.
    """
    if reply.ok or not proves_no_task(reply):
        return None
    if not reply.readable and (turned_away := _turned_away(reply)) is not None:
        return turned_away
    message = f"the vendor refused: {reply.message} (HTTP {reply.status}, code {reply.code})"
    codes = {reply.status, *reply.vendor_codes}
    known_codes = refusals().codes
    text, sent = reply.message.casefold(), sent.casefold()
    kinds = refusals().words.kinds_in(text, sent=sent)
    refused_key = AuthenticationError(
        f"{message}; check GOAPI_API_KEY, and the account on the vendor's site", reply=message
    )
    if HTTPStatus.UNAUTHORIZED in codes or "key" in kinds:
        return refused_key
    if "no_slot" in kinds:
        active = _ACTIVE_TASKS.search(reply.message)
        return PlanLimitError(message, active=int(active.group(1)) if active else None)
    if codes & {HTTPStatus.PAYMENT_REQUIRED, *known_codes.out_of_credits} or "out_of_credits" in kinds:
        return InsufficientCreditsError(message)
    if codes & {HTTPStatus.TOO_MANY_REQUESTS, *known_codes.rate_limit} or "rate_limit" in kinds:
        return RateLimitError(message, retry_after_s=reply.retry_after_s)
    if HTTPStatus.FORBIDDEN in codes and not codes & known_codes.moderation:
        return refused_key
    if HTTPStatus.NOT_FOUND in codes:
        return NotFoundError(message)
    return InvalidRequestError(message, failure=classify_refusal(codes, text, sent=sent))


def no_answer(reply: Reply, url: str) -> VendorError:
    """Return the error of a reply to a GET that neither answers nor refuses it."""
    if reply.page and reply.status in _SUCCESS:
        return WebPageError(
            f"{url} answers with a web page (HTTP {reply.status}), not as the API does; if it goes on, "
            + _CHECK_ADDRESS
        )
    code = f", code {reply.code}" if reply.readable else ""
    return VendorError(
        f"{url} answered HTTP {reply.status}{code}: {reply.message}", retry_after_s=reply.retry_after_s
    )


def _turned_away(reply: Reply) -> SeedanceError | None:
    """Return the error of a reply that was not the API's own; None for one that may be."""
    if reply.status in _REDIRECTS:
        root = _API_PATH.sub("", reply.location).rstrip("/")
        remedy = f"if that is the vendor's, set GOAPI_BASE_URL to {root}" if "://" in root else _CHECK_ADDRESS
        return AddressError(
            f"the API's address redirects to {reply.location or 'no address'} (HTTP {reply.status}); {remedy}"
        )
    if reply.status in _NO_SUCH_PATH:
        return AddressError(
            f"the API's address knows no such path (HTTP {reply.status} without an envelope); "
            + _CHECK_ADDRESS
        )
    turned_away = reply.page and is_client_error(reply.status) and reply.status not in _SAME_ON_PAGES
    if turned_away or (reply.status in _GATEWAY and not reply.json):
        return GatewayError(
            f"a gateway in front of the API turned the request away (HTTP {reply.status} with "
            f"{'a page' if reply.page else 'no envelope'}); the API key is not the reason"
        )
    return None


def is_client_error(code: int) -> bool:
    """Return True for an HTTP status, or a code like one, that refuses a request for certain."""
    client_error = HTTPStatus.BAD_REQUEST <= code < HTTPStatus.INTERNAL_SERVER_ERROR
    return client_error and code not in _OPEN_CLIENT_ERRORS


def _cleaned(value: Any, secrets: tuple[str, ...], depth: int = _MOST_DEPTH) -> Any:
    """Remove secrets, and what JSON can express but nothing can store: unpaired surrogates and NUL.

    Raises:
        ValueError: It is nested deeper than any reply of the vendor.
    """
    if depth == 0:
        msg = "nested too deeply"
        raise ValueError(msg)
    if isinstance(value, str):
        for secret in secrets:
            if secret in value:
                value = value.replace(secret, "***")
        return value.encode("utf-8", "replace").decode().replace("\0", "?")
    if isinstance(value, list):
        return [_cleaned(item, secrets, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_cleaned(name, secrets): _cleaned(item, secrets, depth - 1) for name, item in value.items()}
    return value

"""The webhook: where the vendor delivers the end of a task, and the mark that says whose POST made it.

Each POST names an address of its own: the user's, with a mark in its query. A task that gives the mark
back belongs to the order whose POST carried it, and to no other.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from seedance_dagster.api.errors import InvalidRequestError

QUERY_NAME = "order"
"""The name of the mark in the query of the endpoint."""

_LEDGER_DIGITS = 12  # of a random id: no two ledgers of one account share them
_MARK = re.compile(rf"([0-9a-f]{{{_LEDGER_DIGITS}}})-([0-9]{{1,18}})-[0-9a-f]{{1,16}}")
# An echo may spell `&` as HTML does, so that a `;` stands before the name.
_ECHOED = re.compile(rf"[?&;]{QUERY_NAME}=({_MARK.pattern})(?![0-9a-z-])")
_LEAST_SECRET = 16


@dataclass(frozen=True)
class Webhook:
    """The address that deliveries go to, and the secret that they carry.

    Attributes:
        url: As the user spelled it; its query may hold a token.
        secret: Comes back with each delivery, in the header `x-webhook-secret`.
    """

    url: str = field(repr=False)
    secret: SecretStr

    def config(self, mark: str) -> dict[str, Any]:
        """Return the `config` of a POST that carries a mark."""
        endpoint = f"{self.url}{'&' if '?' in self.url else '?'}{QUERY_NAME}={mark}"
        return {"webhook_config": {"endpoint": endpoint, "secret": self.secret.get_secret_value()}}


def webhook_of(url: str, secret: str) -> Webhook | None:
    """Return the webhook of two settings; None where neither is set.

    Raises:
        InvalidRequestError: They cannot be used.
    """
    if not url and not secret:
        return None
    for name, problem in (("URL", url_problem(url)), ("SECRET", secret_problem(secret, url=url))):
        if problem:
            raise InvalidRequestError(f"SEEDANCE_WEBHOOK_{name}: {problem}")
    return Webhook(url, SecretStr(secret)) if url else None


def url_problem(url: str) -> str | None:  # noqa: PLR0911  a table reads best flat
    """Return why an address cannot be a webhook's, and what is allowed; the address is not repeated."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or not url.isascii() or not _is_plain(url):
        return "not a web address; allowed is one such as https://hooks.example.com/seedance"
    if "@" in parts.netloc:
        return "holds a user name or password; SEEDANCE_WEBHOOK_SECRET protects the address instead"
    if "#" in url:
        return "holds a fragment (#...), which the vendor would not send; leave it out"
    if QUERY_NAME in parse_qs(parts.query, keep_blank_values=True):
        return f"has {QUERY_NAME!r} in its query, which each order sets itself; give yours another name"
    if parts.scheme == "http" and not _is_private(host):
        return "must be https, since deliveries carry the secret; http is allowed for private addresses only"
    return None


def secret_problem(secret: str, *, url: str) -> str | None:
    """Return why a secret cannot be used with an address, and what is allowed; neither is repeated."""
    if not secret:
        return "not set, and SEEDANCE_WEBHOOK_URL needs it: set it to 16 or more random characters"
    if len(secret) < _LEAST_SECRET or not secret.isascii() or not _is_plain(secret):
        return "allowed are 16 or more letters, digits and signs, without spaces"
    return None if url else "SEEDANCE_WEBHOOK_URL is not set: set both or neither"


def make_mark(ledger_id: str, order_id: int, claimed_at: datetime) -> str:
    """Return the mark of a POST, made of its ledger, its order and its claim.

    Example:
        >>> from datetime import UTC
        >>> make_mark("1b4e28ba-2fa1-11d2-883f-0016d3cca427", 42, datetime(2026, 11, 1, tzinfo=UTC))
        '1b4e28ba2fa1-42-65f2bb5e24000'
    """
    return f"{_ledger_part(ledger_id)}-{order_id}-{int(claimed_at.timestamp() * 1_000_000):x}"


def order_of(mark: str, ledger_id: str) -> int | None:
    """Return the order that a mark names; None for a mark of another ledger."""
    match = _MARK.fullmatch(mark)
    return int(match[2]) if match and match[1] == _ledger_part(ledger_id) else None


def echoed_mark(config: object) -> str | None:
    """Return the mark in the `config` of a task; None where the vendor gives none back."""
    webhook = config.get("webhook_config") if isinstance(config, Mapping) else None
    endpoint = webhook.get("endpoint") if isinstance(webhook, Mapping) else None
    match = _ECHOED.search(endpoint) if isinstance(endpoint, str) else None
    return match[1] if match else None


def _ledger_part(ledger_id: str) -> str:
    return ledger_id.replace("-", "")[:_LEDGER_DIGITS]


def _is_plain(text: str) -> bool:
    return text.isprintable() and " " not in text


def _is_private(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_private
    except ValueError:
        return False

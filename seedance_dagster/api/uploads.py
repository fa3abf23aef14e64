"""The vendor's file service: a file in, a link out that lives for a day. Uploading costs nothing."""

from __future__ import annotations

import base64
import json
from http import HTTPStatus

import httpx
import stamina
from pydantic import SecretStr

from seedance_dagster.api.address import valid_base_url
from seedance_dagster.api.body import ENCODINGS
from seedance_dagster.api.errors import (
    AddressError,
    AuthenticationError,
    RateLimitError,
    TransportError,
    UploadRefusedError,
    VendorError,
)
from seedance_dagster.api.pacing import Pace
from seedance_dagster.api.refusals import refusals
from seedance_dagster.api.replies import Reply, is_client_error
from seedance_dagster.api.shapes import links_in
from seedance_dagster.api.transport import (
    ATTEMPTS,
    NETWORK_ERRORS,
    default_transport,
    exchange,
    retry_delay,
)
from seedance_dagster.net.failures import failure_reason

DEFAULT_UPLOAD_URL = "https://upload.theapi.app/api/ephemeral_resource"
LINK_LIVES_S = 23 * 3600.0
"""Seconds for which an uploaded file is used; the vendor deletes it after 24 hours."""


class FileService:
    """The vendor's file service; an upload is tried up to four times.

    Args:
        key: Sent to the host of `url` only.
        url: The address that takes files; https, or http on this machine.
        pacer: The rate limit, shared with the API.
        timeout_s: Longest time for one try, in seconds.
        transport: Replaces the HTTP transport in tests.

    Raises:
        InvalidRequestError: The address is malformed, or would send the key unencrypted.
    """

    def __init__(
        self,
        key: SecretStr,
        url: str,
        pacer: Pace,
        *,
        timeout_s: float,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = key
        self._url = valid_base_url(url, "SEEDANCE_UPLOAD_URL", DEFAULT_UPLOAD_URL)
        self._pacer = pacer
        self._timeout_s = timeout_s
        self._transport = transport

    async def upload(self, file_name: str, content: bytes) -> str:
        """Upload a file and return its link.

        Raises:
            UploadRefusedError: The plan has no uploads, or the file was refused.
            AuthenticationError: The key was refused.
            AddressError: The address redirects, or is not the file service's.
            RateLimitError, GatewayError, VendorError, TransportError: It failed, after all retries.
        """
        body = json.dumps({"file_name": file_name, "file_data": base64.b64encode(content).decode()}).encode()
        async for attempt in stamina.retry_context(
            on=retry_delay, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=10.0
        ):
            with attempt:
                return await self._upload_once(body)
        raise AssertionError  # pragma: no cover  the loop returns or raises

    async def _upload_once(self, body: bytes) -> str:
        await self._pacer.wait()
        key = self._key.get_secret_value()
        headers = {
            "X-API-Key": key,
            "Accept": "application/json",
            "Accept-Encoding": ENCODINGS,
            "Content-Type": "application/json",
        }
        timeout = {"timeout": httpx.Timeout(self._timeout_s).as_dict()}
        request = httpx.Request("POST", self._url, headers=headers, content=body, extensions=timeout)
        # One of its own, since the environment may name another proxy for this host than for the API's.
        transport = self._transport or default_transport(self._url, timeout_s=self._timeout_s)
        try:
            reply = await exchange(transport, request, timeout_s=self._timeout_s)
        except NETWORK_ERRORS as error:
            raise TransportError(
                f"no answer from the file service {self._url}: {failure_reason(error)}"
            ) from None
        finally:
            if self._transport is None:
                await transport.aclose()
        return _link_of(reply)


def _link_of(reply: Reply) -> str:
    """Return the link in the file service's reply; raise as `FileService.upload`."""
    if httpx.codes.is_success(reply.status) and (link := next(filter(_is_link, links_in(reply.data)), None)):
        return link
    if reply.ok:
        raise VendorError("the file service answered without a link to the file")
    reply_text = f"{reply.message} (HTTP {reply.status}, code {reply.code})"
    codes = {reply.status, *reply.vendor_codes}
    if HTTPStatus.UNAUTHORIZED in codes and not reply.page:
        raise AuthenticationError(f"the file service refuses the key: {reply_text}; check GOAPI_API_KEY")
    if HTTPStatus.FORBIDDEN in codes and not reply.page:
        raise UploadRefusedError(
            f"the account's plan has no uploads, says the vendor: {reply_text}; give links to files that are "
            "public, or set SEEDANCE_REFERENCE_LINKS=presigned"
        )
    if codes & {HTTPStatus.TOO_MANY_REQUESTS, *refusals().codes.rate_limit}:
        raise RateLimitError(f"the file service is busy: {reply_text}", retry_after_s=reply.retry_after_s)
    if reply.location or reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        raise AddressError(
            f"the file service's address answers HTTP {reply.status} {reply.location}".rstrip()
            + "; check SEEDANCE_UPLOAD_URL"
        )
    if not reply.page and (is_client_error(reply.status) or is_client_error(reply.code)):
        raise UploadRefusedError(f"the file service refuses the file: {reply_text}")
    raise VendorError(f"the file service answered {reply_text}", retry_after_s=reply.retry_after_s)


def _is_link(url: str) -> bool:
    try:
        return httpx.URL(url).scheme in ("http", "https") and bool(httpx.URL(url).host)
    except httpx.InvalidURL:
        return False

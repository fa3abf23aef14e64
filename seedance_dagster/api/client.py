"""The client of the vendor's API: create a task; read a task, the account and the history."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import httpx
import stamina
from pydantic import SecretStr

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.address import valid_base_url, valid_key
from seedance_dagster.api.body import ENCODINGS, read_body
from seedance_dagster.api.echo import foreign_field
from seedance_dagster.api.errors import (
    ForeignReplyError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    RateLimitError,
    TransportError,
    UnknownOutcomeError,
    VendorError,
)
from seedance_dagster.api.last_look import LastLook
from seedance_dagster.api.replies import Reply, read_reply, refusal
from seedance_dagster.api.single_use import AfterLastLook, SingleUseTransport
from seedance_dagster.api.transport import default_transport, failure_name, shared_pacer
from seedance_dagster.api.webhook import Webhook
from seedance_dagster.api.wire import GenerationRequest, HistoryPage, Task
from seedance_dagster.net.secrets import hide, secrets_in

DEFAULT_BASE_URL = "https://api.goapi.ai"
_TASKS = "/api/v1/task"
_ACCOUNT = "/account/info"
_HISTORY = "/api/open/tasks/histories"
_GET_ATTEMPTS = 4
_QUICK_BYTES = 64 * 1024  # read in some ms; 5 MB take 0.3 s, in a thread beside the event loop
_MAX_WAIT_S = 60.0  # a worker has other tasks to poll
# The aiohttp transport passes some of aiohttp's errors on unchanged.
_NETWORK_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError)


class SeedanceClient:
    """An asynchronous client, used as `async with`.

    A POST is sent once, on a connection of its own, and never retried; a GET is tried up to four times.

    Args:
        api_key: Sent to the host of `base_url` only.
        base_url: The API's root; https, or http on this machine.
        requests_per_second: Shared by all clients of the process.
        timeout_s: Longest time for a single GET, in seconds.
        post_timeout_s: Longest time for a POST, in seconds; the vendor may fetch references first.
        webhook: Where the vendor reports the end of each task; None for nowhere.
        transport: Replaces the HTTP transport in tests.

    Raises:
        AuthenticationError: The key is missing or malformed.
        InvalidRequestError: The base URL is malformed, or would send the key unencrypted.

    Example:
        >>> async def balance(key: SecretStr) -> int | None:
        ...     async with SeedanceClient(api_key=key) as client:
        ...         return (await client.account()).points_remaining
    """

    def __init__(
        self,
        *,
        api_key: SecretStr,
        base_url: str = DEFAULT_BASE_URL,
        requests_per_second: float = 10.0,
        timeout_s: float = 30.0,
        post_timeout_s: float = 180.0,
        webhook: Webhook | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = valid_key(api_key)
        hide(self._key.get_secret_value())
        self._base_url = valid_base_url(base_url)
        self._pacer = shared_pacer(self._base_url, requests_per_second)
        self._timeout_s = timeout_s
        self._post_timeout_s = post_timeout_s
        self._webhook = webhook
        if webhook is not None:
            hide(webhook.secret.get_secret_value(), *secrets_in(webhook.url))
        self._transport = transport
        self._opened: httpx.AsyncBaseTransport | None = None
        self._posts = SingleUseTransport() if transport is None else AfterLastLook(transport)

    @property
    def account_name(self) -> str:
        """A name for the account behind key and API root that does not show the key."""
        identity = f"{self._base_url}\n{self._key.get_secret_value()}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    @property
    def sends_marks(self) -> bool:
        """True where POSTs carry marks, in the address of a webhook."""
        return self._webhook is not None

    def __repr__(self) -> str:
        return f"SeedanceClient({self._base_url!r})"

    async def __aenter__(self) -> Self:
        self._opened = self._transport or default_transport(self._base_url, timeout_s=self._timeout_s)
        await self._opened.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def create_task(
        self, request: GenerationRequest, *, mark: str | None = None, last_look: LastLook | None = None
    ) -> Task:
        """Create a paid task.

        The rate limit is waited for first and the connection made; then the last look decides.

        Args:
            request: A validated request.
            mark: Says whose POST it is, where the client has a webhook.
            last_look: Lets the POST leave, or holds it back.

        Returns:
            The new task, also when it came inside an error reply.

        Raises:
            NoTaskMadeError: No task was created; the subclass says why.
            UnknownOutcomeError: A task may have been created; reconcile before sending again.
        """
        last_look = last_look or LastLook()
        body = request.to_wire()
        if self._webhook is not None and mark is not None:
            body["config"] = self._webhook.config(mark)
        await self._pacer.wait()
        try:
            reply = await self._send("POST", _TASKS, json_body=body, last_look=last_look)
        except _NETWORK_ERRORS as error:
            if not last_look.left:
                raise NotSentError(f"no connection to {self._base_url}: {type(error).__name__}") from None
            raise UnknownOutcomeError(
                f"the reply to a POST was lost ({type(error).__name__}); a task may have been created"
            ) from None
        task = Task.parse(reply.data)
        if task is not None:
            differs = foreign_field(task, request, mark=mark)
            if differs is None:
                return task
            raise ForeignReplyError(
                f"a POST was answered with task {task.task_id}, whose {differs} is not the one that was "
                "sent: the reply belongs to another request, and this one's is lost"
            )
        refused = refusal(reply, sent=json.dumps(body, ensure_ascii=False))
        if isinstance(refused, NotFoundError):
            raise InvalidRequestError(str(refused)) from None
        if refused is not None:
            raise refused
        raise UnknownOutcomeError(
            f"a POST was answered with HTTP {reply.status}, code {reply.code} and no task: {reply.message}"
        )

    async def get_task(self, task_id: str) -> Task:
        """Read one task.

        Raises:
            NotFoundError: The vendor has no such task.
            AuthenticationError: The key was refused.
            InvalidRequestError: The request was refused.
            RateLimitError: Too many requests, after all retries.
            GatewayError: A gateway turned the request away, after all retries.
            AddressError: The address redirects elsewhere.
            VendorError: A server error or an unreadable reply, after all retries.
            TransportError: No answer, after all retries.
        """
        task = Task.parse(await self._get(f"{_TASKS}/{quote(task_id, safe='', errors='replace')}"))
        if task is None or task.task_id != task_id:
            raise VendorError(f"the reply for task {task_id} does not contain that task")
        return task

    async def account(self) -> AccountInfo:
        """Read plan, limits and balance; raise as `get_task` does."""
        return AccountInfo.parse(await self._get(_ACCOUNT))

    async def history(
        self, *, start: datetime, end: datetime, page: int = 1, page_size: int = 100
    ) -> HistoryPage:
        """Read one page of the task history, newest first; raise as `get_task` does.

        Args:
            start: Earliest creation time.
            end: Latest creation time.
            page: From 1.
            page_size: At most 100, the vendor's limit.
        """
        history_page = HistoryPage.parse(
            await self._get(
                _HISTORY,
                page=page,
                page_size=page_size,
                start_time=int(start.timestamp()),
                end_time=int(end.timestamp()) + 1,
            )
        )
        if history_page is None:
            raise VendorError("the reply for the task history cannot be read")
        return history_page

    async def _get(self, path: str, **query: str | int) -> Any:
        async for attempt in stamina.retry_context(
            on=_retry_delay, attempts=_GET_ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=10.0
        ):
            with attempt:
                return await self._get_once(path, query)
        raise AssertionError  # pragma: no cover  the loop returns or raises

    async def _get_once(self, path: str, query: dict[str, str | int]) -> Any:
        await self._pacer.wait()
        try:
            reply = await self._send("GET", path, query=query)
        except _NETWORK_ERRORS as error:
            raise TransportError(f"no answer from {self._base_url}{path}: {failure_name(error)}") from None
        if reply.ok:
            return reply.data
        refused = refusal(reply)
        if refused is not None:
            raise refused
        raise VendorError(
            f"{self._base_url}{path} answered HTTP {reply.status}, code {reply.code}: {reply.message}",
            retry_after_s=reply.retry_after_s,
        )

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str | int] | None = None,
        json_body: Any = None,
        last_look: LastLook | None = None,
    ) -> Reply:
        if self._opened is None:
            msg = "use the client as `async with SeedanceClient(...) as client`"
            raise RuntimeError(msg)
        headers = {
            "X-API-Key": self._key.get_secret_value(),
            "Accept": "application/json",
            "Accept-Encoding": ENCODINGS,
        }
        content = None
        if json_body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(json_body, ensure_ascii=False).encode()
        timeout_s = self._timeout_s if last_look is None else self._post_timeout_s
        # Straight to the transport: httpx's client would add cookies, redirects and a third more work.
        request = httpx.Request(
            method,
            self._base_url + path,
            params=query or None,
            headers=headers,
            content=content,
            extensions={"timeout": httpx.Timeout(timeout_s).as_dict(), "last_look": last_look},
        )
        transport = self._opened if last_look is None else self._posts
        async with asyncio.timeout(timeout_s):
            response = await transport.handle_async_request(request)
            async with contextlib.aclosing(response):
                body = await read_body(response)
        if len(body) > _QUICK_BYTES:
            return await asyncio.to_thread(read_reply, response.status_code, response.headers, body)
        return read_reply(response.status_code, response.headers, body)


def _retry_delay(error: Exception) -> bool | float:
    """Return True to retry a GET, or the seconds that the vendor asks to wait first."""
    if isinstance(error, RateLimitError | VendorError) and error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= _MAX_WAIT_S else False
    return isinstance(error, RateLimitError | GatewayError | TransportError | VendorError)

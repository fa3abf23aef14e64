"""The client of the vendor's API: create a task; read a task, the account and the history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Self
from urllib.parse import quote

import httpx
import stamina
from pydantic import SecretStr

from seedance_dagster.api.account import AccountInfo
from seedance_dagster.api.address import valid_base_url, valid_key
from seedance_dagster.api.body import ENCODINGS
from seedance_dagster.api.echo import foreign_field
from seedance_dagster.api.errors import (
    ForeignReplyError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    TransportError,
    UnknownOutcomeError,
    VendorError,
)
from seedance_dagster.api.last_look import LastLook
from seedance_dagster.api.pacing import Pace, Reserve, SharedPacer, process_pacer
from seedance_dagster.api.replies import Reply, no_answer, refusal
from seedance_dagster.api.single_use import AfterLastLook, SingleUseTransport
from seedance_dagster.api.transport import (
    ATTEMPTS,
    NETWORK_ERRORS,
    default_transport,
    exchange,
    retry_delay,
)
from seedance_dagster.api.uploads import DEFAULT_UPLOAD_URL, FileService
from seedance_dagster.api.webhook import Webhook
from seedance_dagster.api.wire import HistoryPage, Task, TaskRequest, holds_task
from seedance_dagster.net.failures import failure_reason
from seedance_dagster.net.secrets import hide, secrets_in

DEFAULT_BASE_URL = "https://api.goapi.ai"
_TASKS = "/api/v1/task"
_ACCOUNT = "/account/info"
_HISTORY = "/api/open/tasks/histories"


class SeedanceClient:
    """An asynchronous client, used as `async with`.

    A POST is sent once, on a connection of its own, and never retried; a GET is tried up to four times.

    Args:
        api_key: Sent to the hosts of `base_url` and `upload_url` only.
        base_url: The API's root; https, or http on this machine.
        upload_url: The file service; https, or http on this machine.
        requests_per_second: The rate of all clients of the process, or of all that share `reserve`.
        reserve: Shares the rate with other processes; None for a rate of this process's own.
        timeout_s: Longest time for a single GET, in seconds.
        post_timeout_s: Longest time for a POST, in seconds; the vendor may fetch references first.
        webhook: Where the vendor delivers the end of each task; None for no deliveries.
        transport: Replaces the HTTP transport in tests.

    Raises:
        AuthenticationError: The key is missing or malformed.
        InvalidRequestError: An address is malformed, or would send the key unencrypted.

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
        upload_url: str = DEFAULT_UPLOAD_URL,
        requests_per_second: float = 10.0,
        reserve: Reserve | None = None,
        timeout_s: float = 30.0,
        post_timeout_s: float = 180.0,
        webhook: Webhook | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = valid_key(api_key)
        hide(self._key.get_secret_value())
        self.requests_per_second = requests_per_second
        self._base_url = valid_base_url(base_url)
        self._pacer: Pace = (
            process_pacer(self._base_url, requests_per_second)
            if reserve is None
            else SharedPacer(requests_per_second, reserve)
        )
        self._timeout_s = timeout_s
        self._post_timeout_s = post_timeout_s
        self._webhook = webhook
        if webhook is not None:
            hide(webhook.secret.get_secret_value(), *secrets_in(webhook.url))
        self._transport = transport
        self._files = FileService(
            self._key, upload_url, self._pacer, timeout_s=post_timeout_s, transport=transport
        )
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
        try:
            self._opened = self._transport or default_transport(self._base_url, timeout_s=self._timeout_s)
        except OSError as error:
            raise TransportError(f"no connection to {self._base_url}: {error}") from None
        await self._opened.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def create_task(
        self, request: TaskRequest, *, mark: str | None = None, last_look: LastLook | None = None
    ) -> Task:
        """Create a paid task.

        The client waits for the rate limit and connects first; then the last look decides.

        Args:
            request: A validated request.
            mark: Names the order of the POST, where the client has a webhook.
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
        except NETWORK_ERRORS as error:
            if not last_look.left:
                raise NotSentError(f"no connection to {self._base_url}: {failure_reason(error)}") from None
            raise UnknownOutcomeError(
                f"the reply to a POST was lost ({failure_reason(error)}); a task may have been created"
            ) from None
        # A refusal may hold a list of what is running, with another order's task alone in it.
        task = Task.parse(reply.data, may_be_wrapped=reply.ok)
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

    async def upload(self, file_name: str, content: bytes) -> str:
        """Put a file where the vendor can fetch it for a day, and return its link; see `FileService`."""
        return await self._files.upload(file_name, content)

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
        path = f"{_TASKS}/{quote(task_id, safe='', errors='replace')}"
        data = await self._get(path, holds=partial(holds_task, task_id))
        task = Task.parse(data)
        if task is not None and task.task_id == task_id:
            return task
        error = VendorError if data else NotFoundError  # a success without data: another way to say 404
        raise error(f"the reply for task {task_id} does not contain that task")

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
                start_time=max(0, int(start.timestamp())),  # of a time before 1970, which is refused
                end_time=int(end.timestamp()) + 1,
            )
        )
        if history_page is None:
            raise VendorError("the reply for the task history cannot be read")
        return history_page

    async def _get(
        self, path: str, *, holds: Callable[[object], bool] = lambda _: False, **query: str | int
    ) -> Any:
        async for attempt in stamina.retry_context(
            on=retry_delay, attempts=ATTEMPTS, timeout=None, wait_initial=0.5, wait_max=10.0
        ):
            with attempt:
                return await self._get_once(path, query, holds)
        raise AssertionError  # pragma: no cover  the loop returns or raises

    async def _get_once(self, path: str, query: dict[str, str | int], holds: Callable[[object], bool]) -> Any:
        await self._pacer.wait()
        try:
            reply = await self._send("GET", path, query=query)
        except NETWORK_ERRORS as error:
            raise TransportError(f"no answer from {self._base_url}{path}: {failure_reason(error)}") from None
        if reply.ok or holds(reply.data):
            return reply.data
        refused = refusal(reply)
        if refused is not None:
            raise refused
        raise no_answer(reply, f"{self._base_url}{path}")

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
            extensions={"timeout": httpx.Timeout(timeout_s).as_dict(), "last_look": last_look or LastLook()},
        )
        if last_look is not None:
            return await exchange(self._posts, request, timeout_s=timeout_s)
        # That of POSTs is less strict: whatever a task's POST could read, its polls can read too.
        return await exchange(self._opened, request, timeout_s=timeout_s, lenient=self._posts)

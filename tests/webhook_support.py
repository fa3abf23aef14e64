"""A running `seedance-dagster webhook`, and requests to it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from processes_support import COMMAND, awaited

from seedance_dagster.cli.environ import for_children, unconfigured

SECRET = "sesame-0123456789"
HEADERS = {"x-webhook-secret": SECRET}


class Receiver:
    """A running `seedance-dagster webhook`."""

    def __init__(self, client: httpx.Client, log: Path) -> None:
        self.url = str(client.base_url)
        self._client, self._log = client, log

    def post(self, path: str = "/", **options) -> int:
        return self._client.post(path, **{"headers": HEADERS} | options).status_code

    def deliver(self, task_id: object, path: str = "/", **headers: str) -> int:
        body = {"timestamp": 1775000000, "data": {"task_id": task_id, "status": "completed"}}
        return self.post(path, json=body, headers=HEADERS | headers)

    def get(self, path: str, **headers: str) -> int:
        return self._client.get(path, headers=headers).status_code

    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def running_receiver(folder: Path, *options: str) -> Iterator[Receiver]:
    """Run the command on the ledger of a folder, on a free port."""
    log = folder / "webhook.log"
    environ = {
        **for_children(unconfigured(os.environ)),
        "SEEDANCE_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "SEEDANCE_WEBHOOK_URL": "http://127.0.0.1:1/",
        "SEEDANCE_WEBHOOK_SECRET": SECRET,
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "webhook", "--port", "0", *options],
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        awaited(lambda: "ready at" in log.read_text() or process.poll() is not None)
        ready = re.search(r"webhook ready at (http://\S+)", log.read_text())
        assert ready, log.read_text()
        with httpx.Client(base_url=ready[1], timeout=60, trust_env=False) as client:
            yield Receiver(client, log)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()


@contextmanager
def begun_request(receiver: Receiver, head: str) -> Iterator[socket.socket]:
    """Send the head of a delivery by hand, and hang up at the end of the block."""
    address = urlsplit(receiver.url)
    with socket.create_connection((address.hostname, address.port), timeout=120) as connection:
        lines = f"POST / HTTP/1.1\r\nHost: x\r\nx-webhook-secret: {SECRET}\r\n{head}\r\n\r\n"
        connection.sendall(lines.encode())
        yield connection


def status_of(connection: socket.socket) -> int:
    """Return the status of the answer."""
    with connection.makefile("rb") as answer:
        line = answer.readline()
    assert line.startswith(b"HTTP/1.1 "), line
    return int(line.split()[1])


def raw_status(receiver: Receiver, head: str, chunks: Iterable[bytes]) -> int:
    """Send a delivery by hand until the receiver stops reading; return the status of the answer."""
    with begun_request(receiver, head) as connection:
        with contextlib.suppress(OSError):
            for chunk in chunks:
                connection.sendall(chunk)
        return status_of(connection)

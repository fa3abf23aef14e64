"""A host of reference files that may misbehave, and the requests that it got."""

from __future__ import annotations

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from seedance_dagster.emulator.samples import sample_file


@dataclass
class Hosted:
    """A file and how it is served.

    Attributes:
        then: What follows the body: "end", "silence", "drops" or "zeros".
        unique: Each answer ends in different bytes.
    """

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    head: int = 200
    sized: bool = True
    then: str = "end"
    unique: bool = False


class ReferenceFiles(http.server.ThreadingHTTPServer):
    """Files by path; `asked` holds method, path and Range of every request, `headers` its headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.over = threading.Event()
        self.files: dict[str, Hosted] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.headers: list[dict[str, str]] = []

    def put(self, path: str, body: bytes = b"", **manners) -> str:
        """Serve a file and return its URL."""
        self.files[path] = Hosted(body, **manners)
        return f"http://127.0.0.1:{self.server_port}{path}"

    def sample(self, name: str, *, seconds: float = 5, **manners) -> str:
        """Make a small real file of the type in its name."""
        return self.put(f"/{name}", sample(name, seconds=seconds), **manners)

    def gets(self) -> list[str | None]:
        """Return the ranges that were requested since the last call."""
        ranges = [requested for method, _, requested in self.asked if method == "GET"]
        self.asked.clear()
        return ranges


class _Answering(http.server.BaseHTTPRequestHandler):
    server: ReferenceFiles
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        file = self.server.files[self.path.partition("?")[0]]
        requested = self.headers.get("Range")
        self.server.asked.append((self.command, self.path, requested))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        status, body, headers = file.status, file.body, dict(file.headers)
        if file.unique:
            body += f"{len(self.server.asked):08}".encode()
        if self.command == "HEAD" and file.head != 200:
            status, headers = file.head, {}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", requested or "")
        if match and file.ranges and status == 200:
            start, stop = int(match[1]), min(int(match[2]) + 1, len(file.body))
            status = 206 if start < stop else 416
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(file.body)}"
            body = file.body[start:stop]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if file.sized:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)
                self.go_on(file.then)

    def go_on(self, then: str):
        over = self.server.over
        if then == "silence":
            over.wait(5)
        while then == "drops" and not over.wait(0.02):
            self.wfile.write(b"\0")
        while then == "zeros" and not over.is_set():
            self.wfile.write(bytes(65536))

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running_reference_files() -> Iterator[ReferenceFiles]:
    """Run a host on a free port until the end of the block."""
    with ReferenceFiles() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def sample(name: str, *, seconds: float = 5) -> bytes:
    """Make a small real file of the type in its name."""
    stem, _, extension = name.rpartition(".")
    return sample_file(stem, extension, duration_ms=round(seconds * 1000), ratio="16:9")


def inflated(video: bytes, by: int, *, index_in_front: bool = False) -> bytes:
    """Return a sample video with unused bytes added before its index at the end, or after it."""
    start = video.index(b"moov") - 4
    filling = by.to_bytes(4) + b"free" + bytes(by - 8)
    if not index_in_front:
        return video[:start] + filling + video[start:]
    # What was written at the end is moved to the front; nothing decodes it, so its offsets may be wrong.
    first = int.from_bytes(video[:4])
    return video[:first] + video[start:] + video[first:start] + filling

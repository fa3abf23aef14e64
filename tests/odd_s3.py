"""An S3 server that refuses what some stores refuse, each in its own way."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from botocore.config import Config

from seedance_dagster.storage.requests import RequestOptions
from seedance_dagster.storage.s3 import VideoStore


@dataclass
class Manners:
    """The manners of a store.

    Attributes:
        conditions: "kept", "ignored", "never met", or the status and code of its refusal.
        looks: The status and code of its refusal of HEADs; None where it answers them.
        checksums: The status and code of its refusal of boto3's checksums; None where it takes them.
        locked: Demands a checksum or an MD5, as for Object Lock.
        denied: The methods and "LIST", "COPY" that the credentials may not use.
        most_bytes: The largest body that the proxy in front of it takes.
        keeps_frames: It keeps the frames around a body with checksums as content.
        lengths: A HEAD gives an object's length.
        metadata: It keeps the metadata of objects.
        answer: Status, headers and body of its answer to everything.
    """

    conditions: str | tuple[int, str] = "kept"
    looks: tuple[int, str] | None = None
    checksums: tuple[int, str] | None = None
    locked: bool = False
    denied: frozenset[str] = frozenset()
    most_bytes: int | None = None
    keeps_frames: bool = False
    lengths: bool = True
    metadata: bool = True
    answer: tuple[int, dict[str, str], bytes] | None = None


@dataclass
class Stored:
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class OddS3(http.server.ThreadingHTTPServer):
    """A store with odd manners, its objects by path, and the requests that it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.manners = Manners()
        self.objects: dict[str, Stored] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []

    def puts(self) -> list[dict[str, str]]:
        """Return the headers of the writes."""
        return [headers for method, _, headers in self.requests if method == "PUT"]

    def store(self, *, checksums: str = "when_supported", **options: object) -> VideoStore:
        """Return a video store on it."""
        client = boto3.client(
            "s3",
            endpoint_url=f"http://localhost:{self.server_port}",
            aws_access_key_id="id",
            aws_secret_access_key="canary-of-the-secret",
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, request_checksum_calculation=checksums),
        )
        return VideoStore(client, "videos", "p", RequestOptions(**options))


class Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OddS3

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body))} | (headers or {})
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        words = f"<Error><Code>{code}</Code><Message>the store says so</Message></Error>".encode()
        self.answer(status, {"Content-Type": "application/xml"}, b"" if status == 304 else words)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        manners, self.key = self.server.manners, unquote(url.path)
        self.server.requests.append((self.command, self.path, headers))
        kind = "COPY" if "x-amz-copy-source" in headers else self.command
        kind = "LIST" if "list-type" in url.query else kind
        if manners.answer is not None:
            self.answer(*manners.answer)
        elif kind == "HEAD" and manners.looks:
            self.refuse(*manners.looks)
        elif kind in manners.denied:
            self.refuse(403, "AccessDenied")
        elif kind == "PUT":
            self.put(body, headers, manners)
        elif kind == "COPY":
            source = self.server.objects["/" + unquote(headers["x-amz-copy-source"]).lstrip("/")]
            self.server.objects[self.key] = source
            self.answer(200, body=b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
        elif kind == "LIST":
            self.list(parse_qs(url.query)["prefix"][0])
        elif kind == "DELETE":
            self.server.objects.pop(self.key, None)
            self.answer(204)
        elif self.key not in self.server.objects:
            self.refuse(404, "NoSuchKey")
        else:
            stored = self.server.objects[self.key]
            length = {} if manners.lengths or kind == "GET" else {"Content-Length": ""}
            self.answer(200, stored.headers | length, stored.body)

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815  the library's names

    def put(self, body: bytes, headers: dict[str, str], manners: Manners) -> None:
        checksums = [name for name in headers if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum"))]
        conditional = "if-none-match" in headers or "if-match" in headers
        stored = self.server.objects.get(self.key)
        if manners.most_bytes is not None and len(body) > manners.most_bytes:
            self.answer(413, {"Content-Type": "text/html"}, b"<html>too large</html>")
        elif manners.checksums and checksums:
            self.refuse(*manners.checksums)
        elif manners.locked and not checksums and "content-md5" not in headers:
            self.refuse(400, "InvalidRequest")
        elif conditional and isinstance(manners.conditions, tuple):
            self.refuse(*manners.conditions)
        elif (conditional and manners.conditions == "never met") or (
            manners.conditions == "kept"
            and (
                ("if-none-match" in headers and stored)
                or ("if-match" in headers and (not stored or headers["if-match"] != stored.headers["ETag"]))
            )
        ):
            self.refuse(412, "PreconditionFailed")
        else:
            body += b"\r\n0\r\n" if manners.keeps_frames and checksums else b""
            kept = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            about = {"Content-Type": headers["content-type"], "ETag": etag}
            self.server.objects[self.key] = Stored(body, about | (kept if manners.metadata else {}))
            self.answer(200, {"ETag": etag})

    def list(self, prefix: str) -> None:
        bucket = self.key.strip("/")
        listed = {
            path.removeprefix(f"/{bucket}/"): stored
            for path, stored in self.server.objects.items()
            if path.startswith(f"/{bucket}/{prefix}")
        }
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(stored.body)}</Size>"
            "<LastModified>2026-04-06T18:00:00Z</LastModified></Contents>"
            for key, stored in listed.items()
        )
        self.answer(200, body=f"<ListBucketResult><Name>{bucket}</Name>{entries}</ListBucketResult>".encode())

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running_odd_s3() -> Iterator[OddS3]:
    """Run a store on a free port until the end of the block."""
    with OddS3() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def without_secret(message: str) -> bool:
    """Return True when a message quotes no secret."""
    return re.search("canary", message) is None

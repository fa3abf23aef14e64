"""A file host that may misbehave, and the requests that it got."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import threading
from collections.abc import Iterator

from seedance_dagster.engine.stages.download import Downloaded, DownloadLimits, download_video

MP4 = b"\x00\x00\x00\x18ftypisom" + b"\0" * 1000
VIDEO = {"Content-Type": "video/mp4"}
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(MP4), MP4)
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/good": (200, VIDEO, MP4),
    "/octets": (200, {"Content-Type": "binary/octet-stream"}, MP4),
    "/big": (200, VIDEO, MP4 * 50),
    "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
    "/picture": (200, {"Content-Type": "image/heic"}, b"heic" * 20),
    "/called-text": (200, {"Content-Type": "text/plain"}, MP4),
    "/called-audio": (200, {"Content-Type": "audio/mp4"}, MP4),
    "/called-xml": (200, {"Content-Type": "application/xml"}, MP4),
    "/called-gif": (200, {"Content-Type": "image/gif"}, MP4),
    "/called-nothing": (200, {}, MP4),
    "/called-gzip": (200, VIDEO | {"Content-Encoding": "gzip"}, MP4),
    "/half-packed": (200, VIDEO | {"Content-Encoding": "gzip"}, gzip.compress(MP4)[:-9]),
    "/badly-packed": (200, VIDEO, b"\x1f\x8b" + MP4),
    "/bomb": (200, VIDEO, gzip.compress(MP4 + bytes(5_000_000))),
    "/203": (203, VIDEO, MP4),
    "/whole-part": (206, VIDEO | {"Content-Range": f"bytes 0-{len(MP4) - 1}/{len(MP4)}"}, MP4),
    "/unknown-whole": (206, VIDEO | {"Content-Range": f"bytes 0-{len(MP4) - 1}/*"}, MP4),
    "/first-part": (206, VIDEO | {"Content-Range": f"bytes 0-{len(MP4) - 1}/9999"}, MP4),
    "/last-part": (206, VIDEO | {"Content-Range": "bytes 7-1022/1023"}, MP4),
    "/oddly-called-part": (206, VIDEO | {"Content-Range": "Bytes=0 - 1011 / 9999"}, MP4),
    "/packed-twice": (200, VIDEO, gzip.compress(MP4[:500]) + gzip.compress(MP4[500:])),
    "/long-header": (200, VIDEO | {"Content-Security-Policy": "a" * 20_000}, MP4),
    # The server sends a name in other letters beside the usual name of the same header.
    "/two-lengths": (200, VIDEO | {"content-length": str(len(MP4))}, MP4),
    "/two-types": (200, VIDEO | {"content-type": "video/mp4"}, MP4),
    "/chunks-and-length": (200, VIDEO | {"Transfer-Encoding": "chunked"}, CHUNKED),
    "/chunks-and-whole-length": (
        200,
        VIDEO | {"Transfer-Encoding": "chunked", "Content-Length": str(len(MP4))},
        CHUNKED,
    ),
    "/to-two-lengths": (302, {"Location": "/two-lengths", "content-length": "0"}, b""),
    "/other-lengths": (200, VIDEO | {"content-length": "9"}, MP4),
    "/chunks-cut": (200, VIDEO | {"Transfer-Encoding": "chunked"}, CHUNKED[:-5]),
    "/two-lengths-cut": (200, VIDEO | {"Content-Length": "99999", "content-length": "99999"}, MP4),
    "/two-lengths-big": (200, VIDEO | {"content-length": str(len(MP4 * 50))}, MP4 * 50),
    "/two-lengths-gone": (404, {"content-length": "0"}, b""),
    "/two-lengths-to-metadata": (
        302,
        {"Location": "http://169.254.169.254/latest/", "content-length": "0"},
        b"",
    ),
    "/json": (200, {"Content-Type": "application/json; charset=utf-8"}, b'{"error": 1}'),
    "/nothing": (200, VIDEO, b""),
    "/tiny": (200, VIDEO, b"ab"),
    "/no-mp4": (200, VIDEO, b"PNG" * 100),
    "/packed": (200, VIDEO | {"Content-Encoding": "gzip"}, gzip.compress(MP4)),
    "/brotli": (200, VIDEO | {"Content-Encoding": "br"}, b"\x1b\x03" * 99),
    "/unsigned": (401, {}, b""),
    "/expired": (400, {}, b"<Error><Code>ExpiredToken</Code></Error>"),
    "/gone": (404, {}, b""),
    "/forbidden": (403, {}, b""),
    "/over": (410, {}, b""),
    "/broken": (500, {}, b""),
    "/part": (206, VIDEO, MP4),
    "/to-good": (302, {"Location": "/good"}, b""),
    "/to-gone": (307, {"Location": "/gone"}, b""),
    "/to-nowhere": (302, {}, b""),
    "/to-garbage": (302, {"Location": "http://[::1"}, b""),
    "/loop": (302, {"Location": "/loop"}, b""),
    "/to-file": (302, {"Location": "file:///etc/passwd"}, b""),
    "/to-ftp": (301, {"Location": "ftp://127.0.0.1/x"}, b""),
    "/to-metadata": (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b""),
    "/to-decimal": (302, {"Location": "//2130706433/good"}, b""),
    "/to-name": (302, {"Location": "http://inside.example/good"}, b""),
    "/to-user": (302, {"Location": "http://user:secret@example.com/good"}, b""),
    "/cut": (200, VIDEO | {"Content-Length": "100000"}, MP4),
    "/still": (200, VIDEO | {"Content-Length": "100000"}, MP4),
    "/endless": (200, VIDEO | {"Content-Length": ""}, MP4),
    "/drip": (200, VIDEO | {"Content-Length": ""}, MP4),
}


class FileHost(http.server.ThreadingHTTPServer):
    """A file host with canned answers, and the requests that it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.over = threading.Event()
        self.answers = dict(ANSWERS)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    async def get(self, link: str, path, *, allow_private_hosts: bool = True, **limits) -> Downloaded:
        limits = {"total_timeout_s": 10.0, "allow_private_hosts": allow_private_hosts} | limits
        link = self.url + link if link.startswith("/") else link
        return await download_video(link, path, limits=DownloadLimits(**limits))


class Answering(http.server.BaseHTTPRequestHandler):
    server: FileHost
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        size = int(self.path.partition("/sized/")[2] or 0)
        sized = (200, VIDEO | {"Content-Length": str(size)}, MP4)
        status, headers, body = self.server.answers.get(self.path, sized)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
            self.go_on(size)

    def go_on(self, size: int):
        over, left = self.server.over, size - len(MP4)
        while left > 0:
            left -= self.wfile.write(bytes(min(left, 1 << 20)))
        if self.path == "/still":
            over.wait(5)
        while self.path == "/endless" and not over.is_set():
            self.wfile.write(bytes(65536))
        while self.path == "/drip" and not over.wait(0.02):
            self.wfile.write(MP4[:1] * 20)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running_file_host() -> Iterator[FileHost]:
    """Run a file host on a free port until the end of the block."""
    with FileHost() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()

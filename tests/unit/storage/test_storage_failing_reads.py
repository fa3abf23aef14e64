"""A store that answers a read with 5xx and the checksum of the object, as rclone does for a deleted file."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from botocore.config import Config

from seedance_dagster.storage.errors import StoreError
from seedance_dagster.storage.s3 import VideoStore


class Failing(BaseHTTPRequestHandler):
    """A store that knows the object's headers, and cannot read it."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.send_header("x-amz-checksum-crc32", "AAAAAA==")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_read_that_the_store_fails_gives_a_message():
    """The message names the host and the bucket; botocore itself ends in an AttributeError."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(
            StoreError, match=r"127.0.0.1:\d+ failed to read an object of the bucket 'videos'"
        ):
            VideoStore(client, "videos").get_bytes("k")
        server.shutdown()

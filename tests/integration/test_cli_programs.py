"""The emulator and the S3 server that `demo` and `dev` start."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import boto3
import click
import httpx
import pytest
from botocore.exceptions import ClientError

from seedance_dagster.cli.local import programs
from seedance_dagster.cli.local.ports import LOOPBACK, free_port

pytestmark = pytest.mark.integration


def client(environ: dict[str, str], *, secret: str | None = None):
    return boto3.client(
        "s3",
        endpoint_url=environ["AWS_ENDPOINT_URL_S3"],
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or environ["AWS_SECRET_ACCESS_KEY"],
    )


def test_s3_keeps_objects_between_starts(tmp_path: Path) -> None:
    """Stored objects are there at the next start, which has a new secret."""
    secrets = set()
    for body in (b"one", b"two"):
        with programs.s3(tmp_path / "s3", tmp_path / "log", os.environ, port=free_port()) as server:
            secrets.add(server.secret_key)
            s3 = client(server.environ)
            if body == b"two":
                assert s3.get_object(Bucket="videos", Key="a/b.txt")["Body"].read() == b"one"
            s3.put_object(Bucket="videos", Key="a/b.txt", Body=body)
    assert len(secrets) == 2
    assert (tmp_path / "s3" / "videos" / "a" / "b.txt").read_bytes() == b"two"


def test_s3_accepts_only_its_own_key(tmp_path: Path) -> None:
    """Other programs on the machine cannot write to the folder."""
    with (
        programs.s3(tmp_path / "s3", tmp_path / "log", os.environ, port=free_port()) as server,
        pytest.raises(ClientError, match="SignatureDoesNotMatch"),
    ):
        client(server.environ, secret="guess").list_objects_v2(Bucket="videos")


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    """The message names the program and has the end of its log."""
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(click.ClickException, match=r"the S3 server stopped(.|\n)*address already in use"),
            programs.s3(tmp_path / "s3", tmp_path / "log", os.environ, port=port),
        ):
            pass


@pytest.mark.further
def test_the_emulator_keeps_its_address(tmp_path: Path) -> None:
    """The next start has the same URL, so earlier links still work."""
    urls = []
    for _ in range(2):
        with programs.emulator(tmp_path / "emulator", tmp_path / "log", os.environ) as vendor:
            reply = httpx.get(f"{vendor.url}/account/info", headers={"X-API-Key": vendor.api_key})
            assert reply.json()["code"] == 200
            key = {"X-API-Key": vendor.api_key}
            refused = httpx.post(vendor.environ["SEEDANCE_UPLOAD_URL"], headers=key, json={})
            assert "file_name and file_data are required" in refused.json()["message"]
            urls.append(vendor.url)
    assert urls[0] == urls[1]


def test_a_wrong_option_of_the_emulator_is_explained(tmp_path: Path) -> None:
    """The message has the end of the emulator's log."""
    with (
        pytest.raises(click.ClickException, match=r"the emulator stopped(.|\n)*points"),
        programs.emulator(tmp_path / "emulator", tmp_path / "log", os.environ, "--set", "points=-1"),
    ):
        pass

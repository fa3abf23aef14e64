"""Bodies of replies: cut at a limit while they are read, unpacked in bounded memory."""

from __future__ import annotations

import gzip
import json
import zlib

import httpx
import pytest
import stamina
from api_support import REQUEST, Vendor, envelope, task_data

from seedance_dagster.api import body, transport
from seedance_dagster.api.errors import TransportError, UnknownOutcomeError

TASK = json.dumps({"code": 200, "data": task_data()}).encode()


class Chunks(httpx.AsyncByteStream):
    """A body in pieces; `read` counts what was taken of it."""

    def __init__(self, *chunks: bytes, endless: bool = False) -> None:
        self._chunks, self._endless, self.read = chunks, endless, 0

    async def __aiter__(self):
        while True:
            for chunk in self._chunks:
                self.read += len(chunk)
                yield chunk
            if not self._endless:
                return


def answering(stream: Chunks, **headers: str):
    """Return a client whose vendor answers with a stream."""

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={k.replace("_", "-"): v for k, v in headers.items()}, stream=stream
        )

    return Vendor().client(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_a_packed_reply_is_read(encoding, pack):
    """A compressed reply is read, in pieces of any size."""
    packed = pack(TASK)
    stream = Chunks(*(packed[at : at + 7] for at in range(0, len(packed), 7)))
    async with answering(stream, content_encoding=encoding) as api:
        assert (await api.get_task("t-1")).task_id == "t-1"


@pytest.mark.parametrize(
    ("blanks", "pack", "headers"),
    [
        (65_536, bytes, {}),
        (80_000_000, gzip.compress, {"content_encoding": "gzip"}),
        (80_000_000, zlib.compress, {"content_encoding": "deflate"}),
    ],
)
async def test_a_reply_without_an_end_is_cut(monkeypatch, blanks, pack, headers):
    """A body without an end, or one that unpacks to a thousand times its size, costs little memory."""
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1_000_000)
    stream = Chunks(pack(b" " * blanks), endless=True)
    async with answering(stream, **headers) as api:
        with stamina.set_testing(True), pytest.raises(TransportError):
            await api.get_task("t-1")
        with pytest.raises(UnknownOutcomeError):
            await api.create_task(REQUEST)
    assert stream.read < 3_000_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 1000, "gzip"])
async def test_a_reply_that_cannot_be_unpacked_is_a_lost_one(encoding):
    """A reply in an encoding that cannot be unpacked counts as lost, since a task may have been made."""
    async with answering(Chunks(b"\x1b\x03"), content_encoding=encoding) as api:
        with pytest.raises(UnknownOutcomeError):
            await api.create_task(REQUEST)


@pytest.mark.parametrize(
    "packed",
    [gzip.compress(TASK[:50]) + gzip.compress(TASK[50:]), gzip.compress(TASK)[:-8], zlib.compress(TASK)],
    ids=["in parts", "without its checksum", "zlib"],
)
@pytest.mark.parametrize(
    "headers", [{}, {"content_encoding": "gzip"}, {"content_encoding": "gzip, identity"}]
)
async def test_the_bytes_say_whether_a_reply_is_packed(packed, headers):
    """A paid task is read however a reply was packed, whatever its header says."""
    async with answering(Chunks(packed), **headers) as api:
        assert (await api.create_task(REQUEST)).task_id == "t-1"


async def test_a_packed_reply_that_ends_early_is_a_lost_one():
    """Half of a task shows nothing of it."""
    async with answering(Chunks(gzip.compress(TASK)[:-30]), content_encoding="gzip") as api:
        with pytest.raises(UnknownOutcomeError):
            await api.create_task(REQUEST)


@pytest.mark.parametrize("encoding", ["utf-8", "gzip", "br", "none"])
async def test_plain_text_under_the_name_of_an_encoding_is_read(encoding):
    """A proxy may unpack a reply and leave its header: a paid task is not lost for that."""
    async with answering(Chunks(TASK), content_encoding=encoding) as api:
        assert (await api.create_task(REQUEST)).task_id == "t-1"


async def test_what_cannot_be_unpacked_safely_is_not_asked_for():
    """Only encodings that have a limit are offered."""
    vendor = Vendor(envelope(task_data()))
    async with vendor.client() as api:
        await api.get_task("t-1")
    assert vendor.requests[0].headers["Accept-Encoding"] == body.ENCODINGS


@pytest.mark.parametrize("size", [10, transport._QUICK_BYTES + 1000])
async def test_a_large_reply_is_read_as_a_small_one_is(size):
    """A large reply, which is parsed in a thread, gives the same as a small one."""
    vendor = Vendor(envelope(task_data(logs=["x" * size, "the reason"])))
    async with vendor.client() as api:
        assert (await api.get_task("t-1")).logs[1] == "the reason"

"""The rate of a download, and bodies that are packed."""

from __future__ import annotations

import gzip
import zlib

import pytest

from seedance_dagster.engine.stages.throughput import SlowHostError, Throughput
from seedance_dagster.net.unpacking import DamagedBodyError, Unpacker

FILE = bytes(range(256)) * 8000


def watched(*arrivals: tuple[float, int], floor: float = 1000.0) -> None:
    """Count bytes that arrive at some seconds."""
    now = [0.0]
    throughput = Throughput(floor, 60.0, clock=lambda: now[0])
    for at, size in arrivals:
        now[0] = at
        throughput.add(size)


@pytest.mark.parametrize(
    "arrivals",
    [
        [(1.0, 1)],
        [(59.0, 1)],
        [(60.0, 60_000)],
        [(30.0, 60_000), (61.0, 1_000), (122.0, 61_000)],
        [(1.0, 60_000), (60.0, 1), (119.0, 1)],
    ],
)
def test_a_host_that_is_fast_enough_is_waited_for(arrivals):
    """A pause within a window does no harm if the rest of the window makes up for it (x11)."""
    watched(*arrivals)


@pytest.mark.parametrize(
    "arrivals", [[(60.0, 59_000)], [(1.0, 1), (61.0, 10)], [(1.0, 10_000_000), (60.0, 1), (120.0, 1)]]
)
def test_a_host_that_drips_is_given_up(arrivals):
    """A fast beginning does not excuse a later window (x11)."""
    with pytest.raises(SlowHostError, match=r"kB a second; the least accepted is 1 "):
        watched(*arrivals)
    watched(*arrivals, floor=0.0)


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize("pack", [None, gzip.compress, zlib.compress])
def test_a_body_is_given_as_it_is_meant(pack, size):
    """A compressed body comes out whole, however it was cut into chunks."""
    unpacker, body = Unpacker(), pack(FILE) if pack else FILE[: 50 * size]
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk)) == (
        FILE if pack else FILE[: 50 * size]
    )
    assert unpacker.is_whole


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("behind", [b"", bytes(100)])
def test_all_members_of_a_packed_body_are_unpacked(size, behind):
    """A file that was compressed in parts is whole, and padding after it is not part of it."""
    body, unpacker = gzip.compress(FILE[:500]) + gzip.compress(FILE[500:]) + behind, Unpacker()
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    assert b"".join(piece for chunk in chunks for piece in unpacker.feed(chunk)) == FILE
    assert unpacker.is_whole


def test_a_packed_body_that_ends_early_or_is_damaged_is_named():
    """A compressed body that ends early or is damaged is an error, not a file."""
    unpacker = Unpacker()
    assert len(b"".join(unpacker.feed(gzip.compress(FILE)[:-10]))) <= len(FILE)
    assert not unpacker.is_whole
    with pytest.raises(DamagedBodyError):
        list(Unpacker().feed(b"\x1f\x8b" + FILE))


def test_what_unpacks_to_much_comes_in_pieces():
    """A body that unpacks to much comes in pieces and is never in memory as a whole."""
    pieces = list(Unpacker().feed(gzip.compress(bytes(20_000_000))))
    assert sum(map(len, pieces)) == 20_000_000
    assert max(map(len, pieces)) <= 512 * 1024

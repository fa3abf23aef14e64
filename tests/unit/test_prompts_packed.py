"""Packed tables that understate their size: they end the reading process, not this one."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompts_support import load, problems_of

from seedance_dagster.prompts.formats.packed import BOUNDS, READERS

MB = 1024**2
NARROW = """
from dataclasses import replace
from seedance_dagster.prompts.formats import unpacking
unpacking.BOUNDS = replace(unpacking.BOUNDS, memory_bytes=60 * 1024**2)
unpacking.main()
"""


@pytest.fixture
def reader(monkeypatch):
    """Replaces the program that reads the tables."""
    READERS.close()
    yield lambda code: monkeypatch.setattr(READERS, "command", (sys.executable, "-c", code))
    READERS.close()


def one_text(size: int) -> pa.Table:
    return pa.table({"prompt": ["x" * size]})


def arrow(table: pa.Table, compression: str) -> bytes:
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table)
    return out.getvalue()


def varint(value: int, length: int) -> bytes:
    """Return a number as Parquet's description has it, in a given number of bytes."""
    groups = [(2 * value >> 7 * place) & 127 | 128 for place in range(length)]
    return bytes([*groups[:-1], groups[-1] & 127])


def lying_parquet(size: int) -> bytes:
    """Return a file whose description says that it unpacks to ten bytes."""
    out = io.BytesIO()
    pq.write_table(one_text(size), out, compression="zstd", use_dictionary=False)
    content = out.getvalue()
    size_in_file = pq.ParquetFile(out).metadata.row_group(0).column(0).total_uncompressed_size
    length = ((2 * size_in_file).bit_length() + 6) // 7
    assert varint(size_in_file, length) in content
    return content.replace(varint(size_in_file, length), varint(10, length))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_an_arrow_file_that_unpacks_to_much_is_refused(tmp_path, compression):
    """A few kilobytes announce nothing before they are unpacked."""
    content = arrow(one_text(120 * MB), compression)
    assert len(content) < MB
    [(_, _, message)] = problems_of(load(tmp_path, "a.feather", content))
    assert message == "unpacks to 120 MB; allowed are 100 MB"


@pytest.mark.further
def test_a_description_that_lies_is_found_out(tmp_path, reader):
    """The real bytes count, and a file that needs too much memory for them is refused."""
    content = lying_parquet(120 * MB)
    [(_, _, message)] = problems_of(load(tmp_path, "a.parquet", content))
    assert message.startswith(("unpacks to 120 MB", "needs more than 400 MB"))  # which comes first
    READERS.close()
    reader(NARROW)
    [(_, _, message)] = problems_of(load(tmp_path, "b.parquet", content))
    assert message == "needs more than 60 MB of memory to be read"
    assert load(tmp_path, "c.parquet", lying_parquet(10)).sets


@pytest.mark.parametrize(
    ("code", "wall_s", "words"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            BOUNDS.wall_s,
            "makes its reader crash (SIGSEGV)",
        ),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)",
            BOUNDS.wall_s,
            "takes more than 30 s of CPU time",
        ),
        ("import time; time.sleep(600)", 0.5, "takes more than 0.5 s"),
    ],
)
def test_a_file_that_ends_its_reader_is_refused(tmp_path, reader, monkeypatch, code, wall_s, words):
    """The next file has another reader."""
    reader(code)
    monkeypatch.setattr(READERS, "bounds", replace(BOUNDS, wall_s=wall_s))
    [(_, _, message)] = problems_of(load(tmp_path, "a.xlsx", b"PK"))
    assert message.startswith("cannot be read: ")
    assert words in message


def test_rare_columns_are_left_out(tmp_path):
    """Values that may all be the same list, and unions, become no tags; others do, whatever they hold."""
    table = pa.table(
        {
            "prompt": ["x", "y"],
            "shared": pa.ListViewArray.from_arrays(pa.array([0, 0]), pa.array([3, 3]), pa.array([1, 2, 3])),
            "times": pa.array([[(1, "a")], [(2, "b")]], pa.map_(pa.timestamp("s"), pa.string())),
            "words": pa.array([["a", "b"], None]),
            "nothing": pa.nulls(2),
        }
    )
    loaded = load(tmp_path, "a.arrow", arrow(table, "lz4"))
    [(_, field, message)] = problems_of(loaded)
    assert field == "column 'shared'"
    assert "holds values of a rare kind" in message
    first, second = loaded.sets[0].prompts
    assert first.tags == {"times": '{"1970-01-01 00:00:01": "a"}', "words": "a,b"}
    assert second.tags.keys() == {"times"}

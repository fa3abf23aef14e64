"""The cost of refusing prompt files that are made to be costly: CPU time and memory of a process for each."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from _support import report

MOST_S, MOST_MB = 5, 500
MB = 1024**2
ROWS = 100_000
LOAD = """
import resource, sys, time
from seedance_dagster.prompts import load_prompt_sets
from seedance_dagster.prompts.formats.packed import READERS
start = time.process_time()
loaded = load_prompt_sets(sys.argv[1])
seconds = time.process_time() - start
READERS.close()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
seconds += used[1].ru_utime + used[1].ru_stime
memory = max(usage.ru_maxrss for usage in used) / 1024
print(seconds, memory, len(loaded.sets), str((*loaded.problems, "")[0])[:150])
"""


def repeated(piece: str, size: int = 49 * MB) -> bytes:
    """Return a piece again and again, up to a size."""
    return (piece * (size // len(piece.encode()))).encode()


def lines(line: str, count: int = ROWS, *, first: str = "") -> bytes:
    """Return a line again and again, with its number in the place of `#`."""
    return (first + "\n".join(line.replace("#", str(number)) for number in range(count))).encode()


def parquet(table: pa.Table, **options: object) -> bytes:
    """Return a table as Parquet."""
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", **options)
    return out.getvalue()


def arrow(table: pa.Table, compression: str | None, *, rows: int | None = None) -> bytes:
    """Return a table as an Arrow file."""
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return out.getvalue()


def varint(value: int, length: int) -> bytes:
    """Return a number in Thrift's encoding, in a given number of bytes."""
    value *= 2
    low = [(value >> 7 * place) & 127 | 128 for place in range(length)]
    return bytes([*low[:-1], low[-1] & 127])


def lying(content: bytes) -> bytes:
    """Return a Parquet file whose description says that nothing in it is large."""
    chunk = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    size = chunk.total_uncompressed_size
    length = ((2 * size).bit_length() + 6) // 7
    assert varint(size, length) in content
    return content.replace(varint(size, length), varint(10, length))


def workbook(sheet: str, *, strings: str = "", styles: str = "") -> bytes:
    """Return a workbook with additional content in its sheet, shared texts and styles."""
    import openpyxl

    book, out, changed = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    book.active.append(["prompt"])
    book.save(out)
    with zipfile.ZipFile(out) as whole, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as parts:
        for name in whole.namelist():
            body = whole.read(name).decode()
            if name.endswith("sheet1.xml"):
                body = body.replace("</sheetData>", f"{sheet}</sheetData>")
            if name.endswith("sharedStrings.xml"):
                body = body.replace("<si>", f"{strings}<si>", 1)
            if name.endswith("styles.xml"):
                body = body.replace("</cellXfs>", f"{styles}</cellXfs>")
            parts.writestr(name, body)
    return changed.getvalue()


def texts(count: int, length: int) -> pa.Table:
    """Return a table of one long text in many rows."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["x" * length]))
    return pa.table({"prompt": column.dictionary_decode()})


def nulls(count: int) -> pa.Table:
    """Return a table with one row whose list holds many nulls."""
    values = pa.ListArray.from_arrays(pa.array([0, count], pa.int32()), pa.nulls(count))
    return pa.table({"prompt": ["x"], "list": values})


def views(rows: int, length: int) -> pa.Table:
    """Return a table in which the list of each row is the same long list."""
    kind = pa.ListViewArray.from_arrays(
        pa.array([0] * rows, pa.int32()), pa.array([length] * rows, pa.int32()), pa.array(range(length))
    )
    return pa.table({"prompt": ["x"] * rows, "list": kind})


FILES: dict[str, Callable[[], bytes]] = {
    "commas.csv": lambda: repeated(","),
    "blank_rows.csv": lambda: b"prompt,id\n" + repeated(",\n"),
    "quotes.csv": lambda: b'prompt\n"' + repeated('"'),
    "one_cell.csv": lambda: b'prompt\n"' + repeated("x") + b'"',
    "stray_cells.csv": lambda: lines("a,b,c,#", first="prompt\n"),
    "bad_values.csv": lambda: lines("text #,99", first="prompt,duration\n"),
    "columns.csv": lambda: lines("," * 499, 90_000, first="prompt," + ",".join(map(str, range(499))) + "\n"),
    "last_byte.csv": lambda: lines("text #", first="prompt\n") + b"\xff",
    "line_ends.txt": lambda: repeated("\n"),
    "one_line.txt": lambda: repeated("x"),
    "long_lines.txt": lambda: lines("x" * 480 + "#"),
    "rows.txt": lambda: lines("x", 1_000_000),
    "broken_lines.jsonl": lambda: lines("{", 1_000_000),
    "broken_rows.jsonl": lambda: lines('{"prompt": "a#", }'),
    "no_objects.jsonl": lambda: lines("#"),
    "bad_values.jsonl": lambda: lines('{"prompt": "a#", "duration": 1#}'),
    "brackets.jsonl": lambda: repeated("["),
    "one_text.jsonl": lambda: b'{"prompt": "' + repeated("x") + b'"}',
    "one_key.jsonl": lambda: b'{"prompt": "x", "' + repeated("k") + b'": 1}',
    "values.json": lambda: b"[" + repeated("1,") + b"1]",
    "lists.json": lambda: b"[" + repeated("[],", 4 * MB) + b"[]]",
    "objects.json": lambda: json.dumps([{} for _ in range(600_000)]).encode(),
    "number.json": lambda: b"[" + repeated("1") + b"]",
    "brackets.json": lambda: repeated("["),
    "lines.yaml": lambda: repeated("- a\n"),
    "braces.yaml": lambda: repeated("{"),
    "comments.yaml": lambda: repeated("# a\n") + b"a: b\n",
    "anchors.yaml": lambda: b"".join(b"- &a%d x\n" % number for number in range(1_000_000)),
    "merges.yaml": lambda: (
        ("a: &a {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}\nb:\n").encode()
        + lines("- {<<: *a}", 20_000)
    ),
    "broken_end.yaml": lambda: lines("- {prompt: a#}", 50_000, first="name: a\nprompts:\n") + b"\n- {",
    "one_text.yaml": lambda: b"name: a\nprompts:\n- prompt: |\n" + repeated("   x\n", 7 * MB),
    "quoted_text.yaml": lambda: b'name: "' + repeated("x y\n\n", 7 * MB),
    "bad_values.yaml": lambda: lines("- {prompt: a#, duration: 1#}", 80_000, first="name: a\nprompts:\n"),
    "rows.parquet": lambda: parquet(texts(20_000_000, 1)),
    "one_text.parquet": lambda: parquet(texts(1, 300 * MB)),
    "dictionary.parquet": lambda: parquet(texts(200, 2 * MB)),
    "lying_text.parquet": lambda: lying(parquet(texts(1, 300 * MB), use_dictionary=False)),
    "nothings.parquet": lambda: parquet(nulls(300_000_000)),
    "rows.feather": lambda: arrow(texts(2_000_000, 1), "zstd"),
    "one_text.feather": lambda: arrow(texts(1, 300 * MB), "lz4"),
    "one_text_zstd.feather": lambda: arrow(texts(1, 300 * MB), "zstd"),
    "batches.feather": lambda: arrow(texts(300, MB), "zstd", rows=1),
    "nothings.feather": lambda: arrow(nulls(1_000_000_000), None),
    "views.feather": lambda: arrow(views(50_000, 50_000), None),
    "cells.xlsx": lambda: workbook(("<row>" + "<c/>" * 900 + "</row>") * 26_000),
    "strings.xlsx": lambda: workbook("", strings="<si/>" * 19_000_000),
    "styles.xlsx": lambda: workbook("", styles="<xf/>" * 19_000_000),
    "text.xlsx": lambda: workbook(
        '<row r="2"><c t="inlineStr"><is><t>' + "x" * 90 * MB + "</t></is></c></row>"
    ),
    "last_row.xlsx": lambda: workbook('<row r="999999999"><c t="inlineStr"><is><t>x</t></is></c></row>'),
    "bad_values.xlsx": lambda: workbook(
        "".join(
            f'<row><c t="inlineStr"><is><t>{"x" * 900}</t></is></c><c><v>{n}</v></c></row>'
            for n in range(ROWS)
        )
    ),
}


def main() -> None:
    """Load each file in a process of its own, and print its cost; arguments choose files by their names."""
    wanted = sys.argv[1:]
    if wanted[:1] == ["--make"]:
        Path(wanted[2]).write_bytes(FILES[wanted[1]]())
        return
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            if wanted and not any(word in name for word in wanted):
                continue
            path = Path(folder) / name
            # In a process of its own, or its memory would count in the next figure.
            subprocess.run([sys.executable, __file__, "--make", name, path], check=True)
            command = [sys.executable, "-c", LOAD, path]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            path.unlink()
            if done.returncode:
                figures.append((name, f"status {done.returncode} {done.stderr[-300:]}", ""))
                continue
            seconds, memory, sets, words = done.stdout.split(" ", 3)
            words = words.strip().removeprefix(f"{path} ").removeprefix(str(path))
            figure = f"{float(seconds):.1f} s, {float(memory):.0f} MB"
            figures.append((name, figure, "loads" if sets == "1" else words[:90]))
            print(*figures[-1], sep=" | ", flush=True)
    report(figures, f"CPU time and memory of a process; allowed are {MOST_S} s and {MOST_MB} MB")


if __name__ == "__main__":
    main()

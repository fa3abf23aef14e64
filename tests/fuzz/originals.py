"""The files that are damaged: prompt sets as people, spreadsheets and libraries write them, and videos."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import yaml
from media_support import make_clip

TEXTS = [
    "A cat in the rain, \u201cquoted\u201d: #1",
    "Une \xe9toile file \U0001f320",
    "\u4e00\u53ea\u732b\u5728\u96e8\u4e2d",
    "x" * 300,
    "- a: b",
]
Row = Mapping[str, Any]


def rows_of(texts: Sequence[str]) -> list[Row]:
    """Return rows with an id, fields and tags."""
    return [
        {"id": f"p{number}", "prompt": text, "duration": 5, "wave": str(number), "mood": None}
        for number, text in enumerate(texts)
    ]


def _delimited(rows: Sequence[Row], **dialect: Any) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0], **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _csv(rows: Sequence[Row]) -> list[bytes]:
    return [_delimited(rows), b"\xef\xbb\xbf" + _delimited(rows, delimiter=";", quoting=csv.QUOTE_ALL)]


def _tsv(rows: Sequence[Row]) -> list[bytes]:
    return [_delimited(rows, delimiter="\t")]


def _txt(rows: Sequence[Row]) -> list[bytes]:
    return ["\n".join(row["prompt"] for row in rows).encode()]


def _jsonl(rows: Sequence[Row]) -> list[bytes]:
    return ["\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()]


def _document(rows: Sequence[Row]) -> dict[str, Any]:
    fields = [{name: row[name] for name in ("id", "prompt", "duration")} for row in rows]
    prompts = [entry | {"tags": {"wave": row["wave"]}} for entry, row in zip(fields, rows, strict=True)]
    return {"name": "spots", "budget_usd": {"day": 5}, "defaults": {"resolution": "480p"}, "prompts": prompts}


def _json(rows: Sequence[Row]) -> list[bytes]:
    return [json.dumps(_document(rows), indent=1).encode(), json.dumps(list(rows)).encode()]


def _yaml(rows: Sequence[Row]) -> list[bytes]:
    block = yaml.safe_dump(_document(rows), allow_unicode=True).encode()
    aliases = b"- &a {prompt: x}\n- {<<: *a, id: y}\n- prompt: >-\n    folded\n    text\n"
    texts = (json.dumps(row["prompt"], ensure_ascii=False) for row in rows[:2])
    by_hand = "name: spots\nprompts:\n" + "".join(f"  - prompt: {text}\n" for text in texts)
    return [block + aliases, by_hand.encode()]


def _xlsx(rows: Sequence[Row]) -> list[bytes]:
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(out)
    return [out.getvalue()]


def _parquet(rows: Sequence[Row]) -> list[bytes]:
    more = {"mode": "omni_reference", "image_urls": ["https://x.example/a.png"] * 2, "meta": {"a": 1}}
    nested = [row | more for row in rows]
    files = []
    for table, options in (
        (pa.Table.from_pylist(list(rows)), {"compression": "snappy"}),
        (pa.Table.from_pylist(nested), {"compression": "zstd", "use_dictionary": False}),
        (pa.Table.from_pylist(nested), {"compression": "none", "data_page_version": "2.0"}),
    ):
        out = io.BytesIO()
        pq.write_table(table, out, **options)
        files.append(out.getvalue())
    return files


def _feather(rows: Sequence[Row]) -> list[bytes]:
    files = []
    table = pa.Table.from_pylist(list(rows))
    for compression in ("uncompressed", "lz4", "zstd"):
        out = io.BytesIO()
        pf.write_feather(table, out, compression=compression)
        files.append(out.getvalue())
    out = io.BytesIO()
    encoded = table.set_column(1, "prompt", table["prompt"].dictionary_encode())
    with pa.ipc.new_stream(out, encoded.schema) as writer:
        writer.write_table(encoded)
    return [*files, out.getvalue()]


ORIGINALS: dict[str, Callable[[Sequence[Row]], list[bytes]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "txt": _txt,
    "jsonl": _jsonl,
    "json": _json,
    "yaml": _yaml,
    "xlsx": _xlsx,
    "parquet": _parquet,
    "feather": _feather,
}
"""The files of each format, by its ending."""


def videos() -> list[bytes]:
    """Return mp4s of several structures."""
    return [
        make_clip(frames=12, with_audio=True, movflags="+faststart"),
        make_clip(frames=12, with_audio=True, movflags="+frag_keyframe+empty_moov"),
        make_clip(frames=6, codec="libx265", turned=90),
    ]

"""Real prompt files, damaged: each loads or is refused in words that name the file."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest

from seedance_dagster.api.catalog import Catalog
from seedance_dagster.prompts.loading import _check_file
from seedance_dagster.prompts.places import PromptFiles
from seedance_dagster.prompts.prompt_file import PromptFile

SEED = 20261126
TEXTS = [
    "A cat in the rain, \u201cquoted\u201d: #1",
    "Une \xe9toile file \U0001f320",
    "\u4e00\u53ea\u732b @image1",
    "x" * 300,
    "- a: b",
]
ROWS = [
    {"id": f"p{n}", "prompt": text, "duration": 5, "wave": str(n), "mood": None}
    for n, text in enumerate(TEXTS)
]
HOSTILE = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\n",
        b"\r",
        b'"',
        b"'",
        b"{",
        b"[" * 200,
        b"}",
        b"]",
        b":",
        b"&a ",
        b"*a",
    ),
    *(
        b"<<: ",
        b"!!",
        b"- ",
        b"\t",
        b"999999999999999999999",
        b"-1",
        b"NaN",
        b"1e999",
        b",",
        b";",
        b"\xef\xbb\xbf",
    ),
]


def as_csv() -> bytes:
    lines = ["id,prompt,duration,wave", *(f'{row["id"]},"{row["prompt"]}",5,{row["wave"]}' for row in ROWS)]
    return "\r\n".join(lines).encode()


def as_jsonl() -> bytes:
    import json

    return "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def as_json() -> bytes:
    import json

    return json.dumps(
        {"name": "spots", "defaults": {"duration": 5}, "prompts": [{"prompt": t} for t in TEXTS]}
    ).encode()


def as_yaml() -> bytes:
    import yaml

    document = {
        "name": "spots",
        "budget_usd": {"day": 5},
        "prompts": [{"prompt": t, "tags": {"a": 1}} for t in TEXTS],
    }
    return yaml.safe_dump(document, allow_unicode=True).encode() + b"- &a {prompt: x}\n- {<<: *a, id: y}\n"


def as_txt() -> bytes:
    return "\n".join(TEXTS).encode()


def as_xlsx() -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(out)
    return out.getvalue()


def as_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def as_feather() -> bytes:
    out = io.BytesIO()
    pf.write_feather(pa.Table.from_pylist(ROWS), out, compression="uncompressed")
    return out.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    ".csv": as_csv,
    ".tsv": lambda: as_csv().replace(b",", b"\t"),
    ".jsonl": as_jsonl,
    ".json": as_json,
    ".yaml": as_yaml,
    ".txt": as_txt,
    ".xlsx": as_xlsx,
    ".parquet": as_parquet,
    ".feather": as_feather,
}


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file with up to four damages."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place, length = chance.randrange(len(data) + 1), chance.randint(1, 30)
        match chance.randrange(6):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = chance.choice(HOSTILE)
            case 3:
                data[place:place] = data[place : place + length]
            case 4:
                other = chance.randrange(len(data) + 1)
                data[place : place + length] = data[other : other + length]
            case _:
                del data[place:]
    return bytes(data)


def check(suffix: str, content: bytes) -> None:
    source = f"prompts/spots{suffix}"
    file = PromptFile(source, None, lambda: content)
    checked = _check_file(file, PromptFiles([file], folder=Path("/nowhere")), Catalog.load(), None)
    assert checked.prompt_set is not None or any(each.severity == "error" for each in checked.problems)
    assert len(checked.problems) <= 21
    for problem in checked.problems:
        assert str(problem).startswith(source)
        assert str(problem).isprintable()
        assert len(str(problem)) < 2_000


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("number", [50, pytest.param(10_000, marks=pytest.mark.long)])
def test_damaged_files_load_or_are_refused_in_words(suffix, number):
    """No damage gives a traceback, and each refusal names the file."""
    chance = random.Random(f"{SEED}{suffix}{number}")
    content = FORMATS[suffix]()
    check(suffix, content)
    for _ in range(number):
        check(suffix, damaged(content, chance))

"""Locations of prompt sets: files, folders and S3."""

from __future__ import annotations

import io
import os
from pathlib import Path

import botocore.exceptions
import pytest
from prompts_support import load, problems_of

from seedance_dagster.prompts import bounds, load_prompt_sets, prompt_file

REMEDY = 'save it as UTF-8 (in Excel: "CSV UTF-8")'
GOOD = "{name: %s, prompts: [{prompt: x}]}"
ENDINGS = f"file names end in {', '.join(prompt_file.SUFFIXES)}"


def names(loaded) -> list[str]:
    return [prompt_set.name for prompt_set in loaded.sets]


def test_a_folder_gives_all_valid_sets(tmp_path):
    """Files count by their endings, without subfolders and hidden files; an invalid file affects no other."""
    (tmp_path / "b.yaml").write_text(GOOD % "b")
    (tmp_path / "a.YML").write_text(GOOD % "a")
    (tmp_path / "c.csv").write_text("prompt\nx\n")
    (tmp_path / "broken.yaml").write_text("{name: z")
    (tmp_path / "faulty.yaml").write_text("{name: y, prompts: [{prompt: x, duration: 3}]}")
    (tmp_path / ".hidden.yaml").write_text("{name: z")
    (tmp_path / "README.md").write_text("# Sets")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.yaml").write_text(GOOD % "d")
    loaded = load_prompt_sets(tmp_path)
    assert names(loaded) == ["a", "b", "c"]
    assert {Path(problem.source).name for problem in loaded.errors} == {"broken.yaml", "faulty.yaml"}
    assert loaded.sets[1].source == str(tmp_path / "b.yaml")


def test_a_name_belongs_to_one_file(tmp_path):
    """None of several files with a name is used, since an old copy might stand in for the edited one."""
    (tmp_path / "spots copy.yaml").write_text(GOOD % "spots")
    (tmp_path / "spots.jsonl").write_text('{"prompt": "y"}')
    (tmp_path / "b.yaml").write_text(GOOD % "b")
    loaded = load_prompt_sets(tmp_path)
    assert names(loaded) == ["b"]
    copy, original = loaded.unusable["spots"]
    assert (copy.source, copy.field, copy.message) == (
        str(tmp_path / "spots copy.yaml"),
        "name",
        f"is 'spots', as in {tmp_path}/spots.jsonl; names must be unique: rename or remove all but one",
    )
    assert original.source == str(tmp_path / "spots.jsonl")
    assert [(Path(file.source).name, file.videos, file.problems) for file in loaded.files] == [
        ("b.yaml", 1, ()),
        ("spots copy.yaml", None, (copy,)),
        ("spots.jsonl", None, (original,)),
    ]
    (tmp_path / "spots copy.yaml").unlink()
    assert names(load_prompt_sets(tmp_path)) == ["b", "spots"]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nowhere", "does not exist"),
        ("a\0b", "does not exist"),
        ("x" * 300, "cannot be read: File name too long"),
        ("empty", f"contains no prompt set; {ENDINGS}"),
        ("note.md", f"contains no prompt set; {ENDINGS}"),
        ("folder.yaml/", "is not a regular file"),
        ("pipe.csv", "is not a regular file"),
        ("gone.yaml", "does not exist"),
        (
            "latin.yaml",
            f"is not UTF-8 text: line 1 looks like Windows-1252 (Latin-1); {REMEDY}",
        ),
    ],
)
def test_a_location_without_prompt_sets_is_reported(tmp_path, location, message):
    """A location that does not exist or cannot be read is a problem, and loading never blocks."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.md").write_text("x")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml" / "inner.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: ä".encode("latin-1"))
    loaded = load_prompt_sets(f"{tmp_path}/{location}")
    assert (loaded.sets, [message for _, _, message in problems_of(loaded)]) == ((), [message])


def test_a_relative_location_is_named_with_its_folder(tmp_path, monkeypatch):
    """A daemon may run in another folder than the terminal, and only a shell knows ~."""
    monkeypatch.chdir(tmp_path)
    [problem] = load_prompt_sets("prompt_sets").problems
    assert str(problem) == f"prompt_sets does not exist in {tmp_path}"
    [problem] = load_prompt_sets("~/prompt_sets").problems
    assert str(problem).endswith("; write the whole path in place of ~")


def test_missing_permissions_are_reported(tmp_path, monkeypatch):
    """Missing permissions are reported for the folder or the file, in the system's words."""
    (tmp_path / "a.yaml").write_text(GOOD % "a")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.iterdir", refuse)
        assert problems_of(load_prompt_sets(tmp_path)) == [(None, None, "cannot be read: Permission denied")]
    monkeypatch.setattr("pathlib.Path.open", refuse)
    assert problems_of(load_prompt_sets(tmp_path)) == [(None, None, "cannot be read: Permission denied")]


def test_sizes_are_limited(tmp_path, monkeypatch):
    """A file or a set that is too large is reported and not read."""
    monkeypatch.setattr(bounds, "MAX_PROMPTS", 2)
    rows = '{"prompt": "x"}\n' * 3
    message = "contains more than 2 prompts: split it into several files"
    assert problems_of(load(tmp_path, "a.jsonl", rows)) == [(None, None, message)]
    monkeypatch.setattr(bounds, "MAX_FILE_BYTES", 10)
    message = "has 0 MB; allowed are 0 MB: split it into several files"
    assert problems_of(load(tmp_path, "a.jsonl", rows)) == [(None, None, message)]


def test_a_file_name_in_another_encoding_is_shown(tmp_path):
    """Bytes of a file's name that are not UTF-8 are replaced."""
    (tmp_path / os.fsdecode(b"\xff.yaml")).write_text(GOOD % "a")
    [prompt_set] = load_prompt_sets(tmp_path).sets
    assert prompt_set.source == f"{tmp_path}/\ufffd.yaml"


class Bucket:
    """S3 as far as loading uses it: pages of keys, and objects that may fail."""

    def __init__(self, objects, *, fails=None, page=2):
        self._objects, self._fails, self._page = objects, fails, page
        self.listed = []

    def get_paginator(self, name):
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket, Prefix, Delimiter):  # noqa: N803  boto3's names
        self.listed.append((Bucket, Prefix))
        if self._fails:
            raise self._fails
        keys = sorted(key for key in self._objects if key.startswith(Prefix))
        direct = [key for key in keys if Delimiter not in key.removeprefix(Prefix)]
        yield {}
        for start in range(0, len(direct), self._page):
            part = direct[start : start + self._page]
            yield {"Contents": [{"Key": key, "Size": len(self._objects[key])} for key in part]}

    def get_object(self, *, Bucket, Key):  # noqa: N803  boto3's names
        content = self._objects[Key]
        if content == b"secret":
            raise client_error("AccessDenied", "GetObject")
        return {"Body": io.BytesIO(content)}


def client_error(code, operation):
    error = {"Error": {"Code": code, "Message": "refused"}}
    return botocore.exceptions.ClientError(error, operation)


OBJECTS = {
    "sets/a.yaml": (GOOD % "a").encode(),
    "sets/b.json": b'{"name": "b", "prompts": [{"prompt": "x"}]}',
    "sets/c.csv": b"prompt\nx\n",
    "sets/note.txt": b"x",
    "sets/more/d.yaml": (GOOD % "d").encode(),
    "sets/a.yaml.yaml": (GOOD % "aa").encode(),
    "odd/#1 sets?/e.yaml": (GOOD % "e").encode(),
    "f.yaml": (GOOD % "f").encode(),
}


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("s3://bucket/sets", ["a", "aa", "b", "c"]),
        ("s3://bucket/sets/", ["a", "aa", "b", "c"]),
        ("s3://bucket/sets/a.yaml", ["a"]),
        ("s3://bucket/odd/#1 sets?", ["e"]),
        ("s3://bucket", ["f"]),
        ("s3://bucket/", ["f"]),
    ],
)
def test_sets_in_s3(location, expected):
    """A location is an object or all objects directly under a prefix, over all pages of the listing."""
    bucket = Bucket(OBJECTS)
    loaded = load_prompt_sets(location, s3_client=bucket)
    assert (names(loaded), loaded.problems) == (expected, ())
    assert bucket.listed[0][0] == "bucket"
    assert loaded.sets[0].source.startswith("s3://bucket/")


def test_an_unreadable_object_affects_no_other(monkeypatch):
    """An unreadable or too large object is reported with its URI, and the other sets load."""
    monkeypatch.setattr(bounds, "MAX_FILE_BYTES", 1000)
    objects = {"a.yaml": b"secret", "b.yaml": b"x" * 1001, "c.yaml": (GOOD % "c").encode()}
    loaded = load_prompt_sets("s3://bucket", s3_client=Bucket(objects))
    assert names(loaded) == ["c"]
    assert [str(problem) for problem in loaded.problems] == [
        f"s3://bucket/a.yaml cannot be read from S3: {client_error('AccessDenied', 'GetObject')}",
        "s3://bucket/b.yaml has 0 MB; allowed are 0 MB: split it into several files",
    ]


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        (Bucket({}), f"contains no prompt set; {ENDINGS}"),
        (Bucket({"a.yaml.yaml": b""}), f"contains no prompt set; {ENDINGS}"),
        (
            Bucket({}, fails=client_error("NoSuchBucket", "ListObjectsV2")),
            f"cannot be read from S3: {client_error('NoSuchBucket', 'ListObjectsV2')}",
        ),
        (
            Bucket({}, fails=botocore.exceptions.NoCredentialsError()),
            "cannot be read from S3: Unable to locate credentials",
        ),
        (
            Bucket({}, fails=botocore.exceptions.EndpointConnectionError(endpoint_url="http://x.example")),
            'cannot be read from S3: Could not connect to the endpoint URL: "http://x.example"',
        ),
    ],
)
def test_a_bucket_without_prompt_sets_is_reported(bucket, message):
    """A missing bucket, missing credentials or an empty prefix is one problem."""
    assert problems_of(load_prompt_sets("s3://bucket/a.yaml", s3_client=bucket)) == [(None, None, message)]


@pytest.mark.parametrize("source", ["c.csv", "./c.csv", "tables/c.csv", "tables/../c.csv"])
def test_a_table_in_s3_is_named_as_one_in_a_folder_is(source):
    """It may stand in a folder below that of the set, and is not a set of its own."""
    table = b"prompt\nx\n"
    objects = {"a.yaml": f"name: a\nsource: {source}\n".encode(), "c.csv": table, "tables/c.csv": table}
    if source == "tables/c.csv":
        del objects["c.csv"]
    loaded = load_prompt_sets("s3://bucket", s3_client=Bucket(objects))
    assert (names(loaded), loaded.problems) == (["a"], ())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("../c.csv", "leads out of the prompt file's folder: copy the file into it"),
        ("/c.csv", "leads out of the prompt file's folder: copy the file into it"),
        ("tables/d.csv", "does not exist beside the prompt file"),
    ],
)
def test_a_table_elsewhere_in_s3_is_refused(source, reason):
    """As from a local folder, no path leads out."""
    objects = {"sets/a.yaml": f"name: a\nsource: {source}\n".encode(), "c.csv": b"prompt\nx\n"}
    loaded = load_prompt_sets("s3://bucket/sets", s3_client=Bucket(objects))
    assert problems_of(loaded) == [(None, None, f"names as source {source!r}, which {reason}")]


def test_a_file_in_another_format_in_s3_is_named_whatever_its_case():
    """A workbook of another program is not passed over in silence."""
    objects = {"a.yaml": (GOOD % "a").encode(), "B.XLS": b"x"}
    [problem] = load_prompt_sets("s3://bucket", s3_client=Bucket(objects)).problems
    assert (problem.source, problem.severity) == ("s3://bucket/B.XLS", "warning")

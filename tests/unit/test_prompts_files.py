"""References to local files and to S3 in prompt files: their content is their identity."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from prompts_support import load, load_prompts, only_prompt

from seedance_dagster.api.limits import Limits
from seedance_dagster.api.wire import GenerationRequest, Mode
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.prompts import files
from seedance_dagster.prompts.files import FileReference, read_file
from seedance_dagster.prompts.models import Prompt, PromptSet
from seedance_dagster.prompts.problems import UnreadableError

OMNI = {"prompt": "a cat", "mode": "omni_reference"}
BODY = b"any bytes"
IMAGES = "[refs/cat.png, s3://assets/cat.png]"


@pytest.fixture
def refs(tmp_path) -> Path:
    """A folder beside the prompt file with one file, cat.png."""
    folder = tmp_path / "refs"
    folder.mkdir()
    (folder / "cat.png").write_bytes(BODY)
    return folder


def fingerprint_of(folder: Path, *images: str) -> str:
    [prompt_set] = load_prompts(folder, OMNI | {"image_urls": list(images)}).sets
    return next(iter(prompt_set.partitions.values())).fingerprint


def test_every_kind_of_reference_may_be_a_local_file(tmp_path, refs):
    """Images, videos and audios may be paths from the prompt file's folder; a request has their hashes."""
    for name in ("walk.mp4", "song.mp3"):
        (refs / name).write_bytes(name.encode())
    lists = {
        "image_urls": ["./refs/cat.png"],
        "video_urls": ["refs/walk.mp4"],
        "audio_urls": ["refs/song.mp3"],
    }
    prompt = only_prompt(load_prompts(tmp_path, OMNI | lists))
    read = [
        FileReference.parse(url)
        for url in (*prompt.request.image_urls, *prompt.request.video_urls, *prompt.request.audio_urls)
    ]
    assert [file.location for file in read] == ["./refs/cat.png", "refs/walk.mp4", "refs/song.mp3"]
    assert [file.sha256 for file in read] == [
        hashlib.sha256(body).hexdigest() for body in (BODY, b"walk.mp4", b"song.mp3")
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "prompt,mode,image_urls\na cat,omni_reference,refs/cat.png|s3://assets/cat.png\n"),
        ("a.jsonl", json.dumps(OMNI | {"image_urls": ["refs/cat.png", "s3://assets/cat.png"]})),
        (
            "a.yaml",
            f"{{name: a, prompts: [{{prompt: a cat, mode: omni_reference, image_urls: {IMAGES}}}]}}",
        ),
    ],
    ids=["CSV", "JSONL", "YAML"],
)
def test_every_kind_of_file_may_refer_to_files(tmp_path, refs, name, content):
    """A path and an s3:// address may stand wherever a link may."""
    request = only_prompt(load(tmp_path, name, content)).request
    assert request.image_urls == (
        f"refs/cat.png#sha256={hashlib.sha256(BODY).hexdigest()}",
        "s3://assets/cat.png",
    )


def test_moving_a_file_changes_nothing_and_editing_it_does(tmp_path, refs):
    """The fingerprint is of the content: another name or folder is the same request, other bytes are not."""
    first = fingerprint_of(tmp_path, "refs/cat.png")
    (tmp_path / "moved.png").write_bytes(BODY)
    assert fingerprint_of(tmp_path, "moved.png") == first
    (refs / "cat.png").write_bytes(BODY[::-1])
    edited = fingerprint_of(tmp_path, "refs/cat.png")
    assert edited != first
    (refs / "cat.png").write_bytes(BODY)
    assert fingerprint_of(tmp_path, "refs/cat.png") == first


def test_a_file_is_read_once_for_each_of_its_states(tmp_path, refs, monkeypatch):
    """The sensor loads the file at each tick: what did not change is not read again."""
    fingerprint_of(tmp_path, "refs/cat.png")
    monkeypatch.setattr(files.hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    fingerprint_of(tmp_path, "refs/cat.png")


def test_an_edit_that_keeps_size_and_date_is_seen(tmp_path, refs):
    """A program that sets the old date again does not hide an edit."""
    path = refs / "cat.png"
    before = path.stat()
    first = fingerprint_of(tmp_path, "refs/cat.png")
    path.write_bytes(BODY[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert fingerprint_of(tmp_path, "refs/cat.png") != first


def _too_large(folder: Path) -> str:
    with (folder / "large.png").open("wb") as file:
        file.truncate(11 * 1024**2)
    return "large.png"


def _folder(folder: Path) -> str:
    (folder / "folder.png").mkdir()
    return "folder.png"


def _empty(folder: Path) -> str:
    (folder / "empty.png").touch()
    return "empty.png"


def _fifo(folder: Path) -> str:
    os.mkfifo(folder / "fifo.png")
    return "fifo.png"


def _outward_link(folder: Path) -> str:
    (folder.parent / "secret.png").write_bytes(BODY)
    (folder / "linked.png").symlink_to(folder.parent / "secret.png")
    return "linked.png"


def _outward_folder(folder: Path) -> str:
    (folder / "elsewhere").symlink_to("/", target_is_directory=True)
    return "elsewhere/cat.png"


def _endless_link(folder: Path) -> str:
    (folder / "loop.png").symlink_to("loop.png")
    return "loop.png"


def _unreadable(folder: Path) -> str:
    (folder / "private.png").write_bytes(BODY)
    return "private.png"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_too_large, "('large.png') has 11.0 MB; at most 10 MB can be uploaded"),
        (
            lambda _: "gone.png",
            "('gone.png') does not exist in the prompt file's folder (links begin with https",
        ),
        (_folder, "is a folder"),
        (_empty, "is empty (0 bytes)"),
        (_fifo, "is not a regular file"),
        (_outward_link, "leads out of the prompt file's folder: copy the file into it"),
        (_outward_folder, "out of the prompt file's folder"),
        (_endless_link, "cannot be read"),
        (_unreadable, "cannot be read: Permission denied"),
        (lambda _: "../cat.png", "leads out of the prompt file's folder"),
        (
            lambda folder: str(folder / "cat.png"),
            "is an absolute path; allowed are paths from the prompt file",
        ),
        (lambda _: "~/cat.png", "is an absolute path"),
        (
            lambda _: "file:///cat.png",
            "is not an http(s) URL, an s3:// address or a path",
        ),
        (lambda _: "cat.gif", "is .gif; allowed are jpg, jpeg, png, webp, bmp"),
        (lambda _: "cat", "is without an ending; allowed are"),
        (lambda _: "cat#2.png", "contains a character that is not allowed"),
        (lambda _: "a\0.png", "contains a character that is not allowed"),
        (lambda _: "s3://", "names no bucket; write s3://bucket/cat.png"),
        (lambda _: "s3://bucket", "names no key; write s3://bucket/cat.png"),
        (lambda _: "s3://bucket/cat.txt", "is .txt; allowed are"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_of_its_prompt(tmp_path, monkeypatch, make, message):
    """The error names file, row, field and number, and what is allowed; the file is not loaded."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    reference = make(folder)
    opened = Path.open

    def deny(path: Path, *args, **kwargs):
        if path.name == "private.png":  # the tests may run as root, who may read everything
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", deny)
    loaded = load_prompts(folder, {"prompt": "fine"}, OMNI | {"id": "cat", "image_urls": [reference]})
    [problem] = loaded.errors
    assert str(problem).startswith(f"{folder}/spots.json, prompt 2 (cat): image_urls number 1 ")
    assert message in str(problem)
    assert loaded.sets == ()


def test_a_path_in_a_prompt_file_on_s3_is_an_error():
    """Paths start from a local folder; a prompt file on S3 has none."""
    source = PromptSource([PromptSet("spots", (Prompt(id="cat", request=_request("cat.png")),))])
    [problem] = source.load().errors
    assert "do not come from a local folder: write a link or an s3:// address" in str(problem)


def test_a_set_made_in_python_may_name_a_folder(tmp_path, refs):
    """Its local references start from there and are hashed as those of files are."""
    prompt_set = PromptSet("spots", (Prompt(id="cat", request=_request("cat.png")),), folder=refs)
    [checked] = PromptSource([prompt_set]).load().sets
    assert checked.partitions["cat"].request.image_urls == (
        f"cat.png#sha256={hashlib.sha256(BODY).hexdigest()}",
    )
    assert checked.partitions["cat"].fingerprint == fingerprint_of(tmp_path, "refs/cat.png")
    again = PromptSource([checked]).load()
    assert again.sets == (checked,)


def test_an_object_in_s3_is_its_address_until_it_was_read():
    """Until a run has read an object its address is its identity, and then its content."""
    address, content = FileReference("s3://assets/cat.png"), FileReference("s3://assets/cat.png", "5f3a")
    assert (address.identity, content.identity) == ("s3://assets/cat.png", "sha256:5f3a")
    assert FileReference.parse(str(content)) == content
    assert content.bucket_and_key == ("assets", "cat.png")


def test_loading_needs_no_network(tmp_path, monkeypatch):
    """A set with objects in S3 is loaded while nothing can be reached."""
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked the network"))
    assert load_prompts(tmp_path, OMNI | {"image_urls": ["s3://assets/cat.png"]}).errors == ()


def test_the_bytes_that_are_sent_are_the_ones_that_were_hashed(tmp_path, refs):
    """A file that is edited between loading and ordering is an error, not another request's picture."""
    reference = FileReference("refs/cat.png", hashlib.sha256(BODY).hexdigest())
    limit = Limits.load().max_upload_bytes
    assert read_file(tmp_path, reference, max_bytes=limit) == BODY
    (refs / "cat.png").write_bytes(b"edited")
    with pytest.raises(UnreadableError, match="was edited just now: launch the run again"):
        read_file(tmp_path, reference, max_bytes=limit)


def _request(image: str) -> GenerationRequest:
    return GenerationRequest(
        task_type="seedance-2-fast", prompt="a cat", mode=Mode.OMNI_REFERENCE, image_urls=(image,)
    )

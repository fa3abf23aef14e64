"""Datasets as a Lance table, as the library loads them; without the library, an export says what it needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
from dataset_support import Shop
from real_stores import moto

from seedance_dagster.datasets.export.errors import ExportError
from seedance_dagster.datasets.export.export import Exported
from seedance_dagster.datasets.export.plan import Format
from seedance_dagster.ledger.verdict import Verdict

needs_lance = pytest.mark.skipif(
    importlib.util.find_spec("lance") is None, reason="pylance, the extra `lance`, is not installed"
)


@pytest.fixture
def shop(orders) -> Shop:
    return Shop(orders)


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "dataset"


def export(shop: Shop, place: Path | str, **options) -> Exported:
    return shop.export(place, Format.LANCE, **options)


def videos_in(table) -> dict[str, bytes]:
    """Return the bytes of each clip by partition."""
    names = table.to_table(columns=["partition"])["partition"].to_pylist()
    blobs = table.take_blobs("video", indices=list(range(len(names))))
    return {name: blob.readall() for name, blob in zip(names, blobs, strict=True)}


def open_table(place: Path | str, **options):
    import lance

    return lance.dataset(f"{place}/clips.lance", **options)


@needs_lance
def test_the_table_has_rows_and_bytes(shop, place):
    """The table has the rows of every other format, and the mp4 in a column that is read as a file."""
    shop.accepted("cat", "dog", tags={"campaign": "spring"})
    shop.make("owl")
    assert export(shop, place, splits="train=1") == Exported(written=3, kept=0, deleted=0)
    table = open_table(place)
    assert videos_in(table) == {name: name.encode() * 300 for name in ("cat", "dog")}
    [row] = table.to_table(
        filter="partition = 'cat'", columns=["split", "caption", "cost_usd", "tags"]
    ).to_pylist()
    assert row == {"split": "train", "caption": "cat", "cost_usd": 0.4, "tags": '{"campaign": "spring"}'}
    card = (place / "README.md").read_text()
    assert "configs" not in yaml.safe_load(card.split("---")[1])
    assert "lance.dataset('path/to/spots/clips.lance')" in card
    assert "| `video` | bytes |" in card


@needs_lance
def test_only_rows_that_changed_are_written(shop, place):
    """Unchanged content writes nothing, and each export stays as a version with its own tag."""
    shop.accepted("cat", "dog")
    export(shop, place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    assert export(shop, place) == Exported(written=0, kept=3, deleted=0)
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()} == before
    [first] = open_table(place).tags.list()
    shop.accepted("owl")
    shop.judge(Verdict.DISCARDED, "dog")
    assert export(shop, place) == Exported(written=2, kept=1, deleted=1)
    assert set(videos_in(open_table(place))) == {"cat", "owl"}
    assert set(videos_in(open_table(place, version=first))) == {"cat", "dog"}
    shop.judge(Verdict.ACCEPTED, "dog")
    shop.judge(Verdict.DISCARDED, "owl")
    export(shop, place)
    assert open_table(place, version=first).version == open_table(place).version


@needs_lance
def test_an_interrupted_export_goes_on(shop, place, monkeypatch):
    """Committed rows are kept; a video that is not the stored one is named by its error."""
    monkeypatch.setattr("seedance_dagster.datasets.export.lance_table._COMMIT_BYTES", 1)
    shop.accepted("cat", "dog")
    [dog] = [video.order for video in shop.ledger.videos.current("spots", "dog")]
    content = shop.store.objects[dog.video_key]
    shop.store.objects[dog.video_key] = b"another"
    with pytest.raises(ExportError, match="continues where it stopped"):
        export(shop, place)
    assert set(videos_in(open_table(place))) == {"cat"}
    assert not (place / "README.md").exists()
    shop.store.objects[dog.video_key] = content
    assert export(shop, place) == Exported(written=2, kept=1, deleted=0)


@needs_lance
def test_a_table_with_other_columns_is_not_touched(shop, place):
    """Nothing of another program's work is lost."""
    shop.accepted("cat")
    export(shop, place)
    open_table(place).add_columns({"own": "1"})
    shop.accepted("dog")
    with pytest.raises(ExportError, match="has other columns than an export writes; move it away"):
        export(shop, place)
    assert open_table(place).count_rows() == 1


@needs_lance
def test_a_table_that_was_removed_is_written_again(shop, place):
    """A table that was removed is written again, like the files of other formats."""
    shop.accepted("cat")
    export(shop, place)
    (place / "clips.lance").rename(place.parent / "away")
    assert export(shop, place) == Exported(written=1, kept=1, deleted=0)


@needs_lance
def test_a_table_may_be_in_s3(shop, tmp_path, monkeypatch):
    """A table in S3 is written with the credentials of the videos, and again only after a change."""
    with moto(tmp_path / "s3") as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        shop.accepted("cat", "dog")
        shop.store.client = server.client()
        export(shop, "s3://videos/sets/spots")
        assert export(shop, "s3://videos/sets/spots").unchanged
        options = {"aws_endpoint": server.url, "allow_http": "true"}
        table = open_table("s3://videos/sets/spots", storage_options=options)
        assert set(videos_in(table)) == {"cat", "dog"}


def test_without_lance_an_export_says_what_it_needs(shop, place, monkeypatch):
    """It names the command that installs it, and nothing is written."""
    monkeypatch.setattr("seedance_dagster.datasets.export.lance_table.find_spec", lambda _: None)
    shop.accepted("cat")
    with pytest.raises(ExportError, match=r"pip install 'seedance-dagster\[lance\]'"):
        export(shop, place)
    assert not place.exists()

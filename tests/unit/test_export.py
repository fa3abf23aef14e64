"""Datasets: what is in them, and what an export writes, keeps, deletes and refuses."""

from __future__ import annotations

import errno
import json
import tarfile
from pathlib import Path

import pytest
import yaml
from dataset_support import FILE_FORMATS, Shop, files_of

from seedance_dagster.datasets.export import read_ahead
from seedance_dagster.datasets.export.errors import ExportError, NothingAcceptedError
from seedance_dagster.datasets.export.export import Exported
from seedance_dagster.datasets.export.plan import Format
from seedance_dagster.datasets.export.splits import DEFAULT_SPLITS, Splits
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.storage.errors import StoreError

HALVES = "train=0.5,test=0.5"


@pytest.fixture
def shop(orders) -> Shop:
    return Shop(orders)


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "dataset"


def rows_in(place: Path) -> dict[str, dict]:
    """Return the rows of a videofolder by partition."""
    lines = [line for path in place.rglob("metadata.jsonl") for line in path.read_text().splitlines()]
    return {row["partition"]: row for row in map(json.loads, lines)}


def test_a_score_may_be_the_caption(shop, place):
    """A score is the caption if requested and known for every accepted video; rows have all scores."""
    shop.accepted("cat", "dog")
    [sha256] = {video.order.sha256 for video in shop.ledger.videos.current("spots", "cat")}
    values = {"caption": "a cat on a wall", "motion": 0.25}
    shop.ledger.scores.record(sha256, [ScoreResult(score="blip", version="1", values=values)])
    shop.export(place)
    assert {key: row["caption"] for key, row in rows_in(place).items()} == {"cat": "cat", "dog": "dog"}
    assert {key: row["scores"] for key, row in rows_in(place).items()} == {
        "cat": '{"caption": "a cat on a wall", "motion": 0.25}',
        "dog": "{}",
    }
    with pytest.raises(ExportError, match="spots: 1 accepted video has no text 'caption' as caption: dog"):
        shop.export(place, caption="caption")
    with pytest.raises(ExportError, match="2 accepted videos have no text 'motion' as caption: cat, dog"):
        shop.export(place, caption="motion")
    shop.judge(Verdict.DISCARDED, "dog")
    shop.export(place, caption="caption")
    assert rows_in(place)["cat"]["caption"] == "a cat on a wall"


def test_accepted_videos_become_a_videofolder(shop, place):
    """Each accepted video is in its split with a row beside it; other videos are left out."""
    shop.accepted("cat", "cat.t2", prompt="A cat", tags={"campaign": "spring"})
    shop.accepted("dog")
    shop.make("owl")
    shop.make("elk")
    shop.judge(Verdict.DISCARDED, "elk")
    assert shop.export(place, splits=HALVES) == Exported(written=6, kept=0, deleted=0)
    files = files_of(place)
    rows = {
        path.rpartition("/")[0]: [json.loads(line) for line in content.splitlines()]
        for path, content in files.items()
        if path.endswith("metadata.jsonl")
    }
    names = {f"{split}/{row['file_name']}" for split, split_rows in rows.items() for row in split_rows}
    assert names == {path for path in files if path.endswith(".mp4")}
    [[cat, take]] = [split_rows for split_rows in rows.values() if len(split_rows) == 2]
    assert (cat["caption"], cat["split"], cat["tags"]) == ("A cat", take["split"], '{"campaign": "spring"}')
    assert (cat["cost_usd"], cat["duration_s"], cat["resolution"]) == (0.4, 4.0, "480p")


def test_a_dataset_has_finals_and_no_drafts(shop, place):
    """Each shot is in it once: its final; where only drafts are accepted, there is nothing to export."""
    shop.accepted("cat", "dog")
    drafts = {key: PartitionRequest(key, is_draft=True) for key in ("cat", "dog")}
    shop.ledger.partitions.update("spots", drafts)
    with pytest.raises(NothingAcceptedError, match=r"only drafts are accepted, .* order cat\.final and"):
        shop.export(place)
    shop.accepted("cat.final")
    shop.export(place)
    assert [path for path in files_of(place) if path.endswith(".mp4")] == ["train/cat.final.mp4"]
    card = files_of(place)["README.md"].decode()
    assert "| Videos accepted | 1 of 3 (33%) |" in card


def test_rights_are_carried_along(shop, place):
    """The rights in the file now become a column, a section of the card, and its licence if all agree."""
    shop.accepted("cat", "dog")
    rights = {
        "cat": {"prompt": {"license": "cc-by-4.0", "holder": "Ann | Co"}},
        "dog": {"prompt": {"license": "cc-by-4.0"}, "image1": {"license": "cc-by-4.0", "source": "a shop"}},
    }
    asked = {key: PartitionRequest(key, rights=right) for key, right in rights.items()}
    shop.ledger.partitions.update("spots", asked)
    shop.export(place, splits="train=1")
    files = files_of(place)
    rows = [json.loads(line) for line in files["train/metadata.jsonl"].splitlines()]
    assert [json.loads(row["rights"]) for row in rows] == list(rights.values())
    card = files["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1])["license"] == "cc-by-4.0"
    assert "| prompt | cc-by-4.0 | Ann \\| Co |  |  | 1 |" in card
    assert "| reference | cc-by-4.0 |  | a shop |  | 1 |" in card
    shop.ledger.partitions.update("spots", asked | {"dog": PartitionRequest("dog")})
    shop.export(place, splits="train=1")
    card = files_of(place)["README.md"].decode()
    assert yaml.safe_load(card.split("---")[1])["license"] == "unknown"
    assert "1 of 2 clips name no rights." in card


def test_the_card_says_what_is_in_it(shop, place):
    """Its header is for the Hugging Face Hub; the cost counts everything that was paid for the set."""
    shop.accepted("cat", "dog")
    shop.make("elk")
    shop.judge(Verdict.DISCARDED, "elk")
    shop.orders.make(State.REJECTED, "fox")
    shop.export(place, license_id="cc-by-4.0")
    card = (place / "README.md").read_text()
    _, header, text = card.split("---\n", 2)
    about = yaml.safe_load(header)
    assert (about["license"], about["size_categories"]) == ("cc-by-4.0", ["n<1K"])
    for words in (
        "| Charged for the prompt set, everything included | 1.205 USD |",
        "| Cost per accepted clip | 0.6025 USD |",
        "| Videos discarded | 1 of 3 (33%) |",
        "| Orders rejected by moderation | 1 of 4 (25%) |",
        "| seedance-2-fast | 2 |",
        "load_dataset(",
    ):
        assert words in text


def test_what_did_not_change_is_not_written_again(shop, place):
    """Unchanged content is not written again; a new verdict changes only its own files."""
    shop.accepted("cat", "dog")
    shop.export(place)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file()}
    assert shop.export(place).unchanged
    assert {path: path.stat().st_mtime_ns for path in before} == before
    shop.judge(Verdict.DISCARDED, "dog")
    assert shop.export(place) == Exported(written=2, kept=1, deleted=1)
    assert not list(place.rglob("dog.mp4"))


@pytest.mark.parametrize("form", FILE_FORMATS)
def test_the_same_content_makes_the_same_bytes(shop, place, form):
    """The same content makes the same bytes in any place, except for Lance's random file names."""
    shop.accepted("cat", "cat.t2", "dog")
    for name in ("a", "b"):
        shop.export(place / name / "spots", form)
    assert files_of(place / "a") == files_of(place / "b")


def test_an_interrupted_export_goes_on(shop, place):
    """A video that cannot be read stops no other one; then only what is missing is written."""
    shop.accepted("cat", "dog", "elk")
    [key] = [key for key in shop.store.objects if "/dog/" in key]
    content = shop.store.objects.pop(key)
    with pytest.raises(
        ExportError, match=r"1 of 3 files was not written, such as train/dog\.mp4: nothing at"
    ):
        shop.export(place)
    assert not (place / "README.md").exists()
    shop.store.objects[key] = content
    shop.store.reads.clear()
    assert shop.export(place).kept == 2
    assert shop.store.reads == [key]


def test_a_video_that_was_altered_in_s3_is_not_exported(shop, place):
    """The bytes are checked while they are copied."""
    shop.accepted("cat")
    [key] = shop.store.objects
    shop.store.objects[key] += b"!"
    with pytest.raises(ExportError, match="is not the video that was stored"):
        shop.export(place)
    assert not list(place.rglob("*.mp4"))


def test_shards_hold_whole_clips_and_go_on_after_a_failure(shop, place):
    """A tar file that was finished is kept; its hash is known from the inventory."""
    shop.accepted("cat", "dog")
    shop.export(place, Format.WEBDATASET, "train=1")
    assert shop.export(place, Format.WEBDATASET, "train=1").unchanged
    shop.accepted("elk")
    assert shop.export(place, Format.WEBDATASET, "train=1") == Exported(written=2, kept=0, deleted=0)


def test_a_shard_is_whole_however_far_it_is_read_ahead(shop, place, monkeypatch):
    """Each video beside its own row, in the order of the set, and one that breaks off is read again."""
    monkeypatch.setattr(read_ahead, "_AHEAD_BYTES", 2000)
    names = [f"p{number}" for number in range(20)]
    shop.accepted(*names)
    digest, failed = shop.store.get_bytes, set()

    def breaks_once(key: str) -> bytes:
        if key not in failed:
            failed.add(key)
            raise StoreError("the connection broke")
        return digest(key)

    monkeypatch.setattr(shop.store, "get_bytes", breaks_once)
    shop.export(place, Format.WEBDATASET, "train=1")
    with tarfile.open(place / "train" / "train-000000.tar") as shard:
        contents = {entry.name: shard.extractfile(entry).read() for entry in shard}
    assert list(contents) == [f"{name}.{suffix}" for name in names for suffix in ("mp4", "json")]
    assert all(contents[f"{name}.mp4"] == name.encode() * 300 for name in names)


def test_a_full_disk_is_said_in_words(shop, place, monkeypatch):
    """A full disk gives a message, and the dataset has no half-written file."""
    shop.accepted("cat")

    def fill(_self: Path, _target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fill)
        with pytest.raises(ExportError, match="the disk is full: free some space, then run the export again"):
            shop.export(place)
    assert files_of(place) == {}
    assert shop.export(place).written == 3


def test_another_dataset_is_not_touched(shop, place):
    """Another dataset, files that no export wrote, and a file changed since are not touched."""
    shop.accepted("cat")
    shop.export(place / "a", Format.PARQUET)
    with pytest.raises(
        ExportError, match="holds another dataset: spots as parquet; choose an empty or a new"
    ):
        shop.export(place / "a")
    with pytest.raises(ExportError, match="holds files that no export wrote"):
        shop.export(place)
    card = place / "a" / "README.md"
    card.write_text("mine")
    shop.accepted("dog")
    with pytest.raises(ExportError, match=r"README\.md is not what an export wrote, and is not overwritten"):
        shop.export(place / "a", Format.PARQUET)
    assert card.read_text() == "mine"


def test_files_of_others_stay(shop, place):
    """A note beside the dataset survives every export."""
    shop.accepted("cat", "dog")
    shop.export(place)
    (place / "train" / "notes.txt").write_text("mine")
    shop.judge(Verdict.DISCARDED, "dog")
    shop.export(place)
    assert (place / "train" / "notes.txt").read_text() == "mine"


def test_equal_videos_are_one_clip(shop, place):
    """Two partitions that show one video put it into the dataset once."""
    shop.accepted("cat", "dog")
    [cat] = [row.order for row in shop.ledger.videos.current("spots") if row.partition == "cat"]
    shop.ledger.partitions.link("spots", {"fox": cat.order_id})
    shop.judge(Verdict.ACCEPTED, "fox")
    shop.export(place)
    assert len(list(place.rglob("*.mp4"))) == 2


def test_without_accepted_videos_there_is_no_dataset(shop, place):
    """The message says what to do."""
    shop.make("cat")
    with pytest.raises(ExportError, match="no video is accepted; accept some in the gallery, or by"):
        shop.export(place)


def test_splits_depend_on_the_text_alone():
    """Splits have about the sizes of their shares, and a prompt stays in its split."""
    splits = Splits.parse(DEFAULT_SPLITS)
    names = [splits.of_prompt(f"a cat, number {number}") for number in range(2000)]
    assert names[:6] == [splits.of_prompt(f"A  cat, number {number} ") for number in range(6)]
    assert 1740 < names.count("train") < 1860
    assert 60 < names.count("test") < 140


@pytest.mark.parametrize("text", ["", "train", "train=0.9", "train=0.5,train=0.5", "Train=1", "a=2,b=-1"])
def test_splits_that_cannot_be_used_are_refused(text):
    """The message says what is allowed."""
    with pytest.raises(ExportError, match=r"splits: .* allowed are names with shares that add up to 1"):
        Splits.parse(text)

"""`seedance-dagster export`: from verdicts to a dataset that others load."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from dataset_support import Shop

from seedance_dagster.cli.root import root
from seedance_dagster.settings import Settings


@pytest.fixture
def shop(orders) -> Shop:
    return Shop(orders)


@pytest.fixture
def run(shop, ledger_url, tmp_path, monkeypatch):
    """A ledger with videos of the set spots, and commands to run on it."""
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": ledger_url, "USER": "ann", "LOGNAME": "ann"})
    monkeypatch.setattr(Settings, "open_store", lambda _: shop.store)
    monkeypatch.chdir(tmp_path)
    for partition in ("cat", "cat.t2", "dog", "owl"):
        shop.make(partition, partition.removesuffix(".t2"))
    return lambda *arguments: CliRunner().invoke(root, arguments)


def test_accepted_takes_are_exported(run):
    """The output says where, in which splits, and what a clip cost; a second export writes nothing."""
    assert run("review", "accept", "spots", "cat", "cat.t2").exit_code == 0
    assert run("review", "discard", "spots", "owl").exit_code == 0
    done = run("export", "spots", "ds", "--splits", "train=1")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("spots: 2 accepted videos in ds as videofolder: 2 train; version ")
    assert "4 files written, 0 kept, 0 deleted\nCost per accepted clip: 0.80 USD\n" in done.stdout
    again = run("export", "spots", "ds", "--splits", "train=1")
    assert "Nothing has changed since the last export; nothing was written" in again.stdout
    document = json.loads(run("export", "spots", "ds", "--splits", "train=1", "--json").stdout)
    assert (document["yield"], document["discarded_share"], document["kept"]) == (0.5, 0.25, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("spots", "ds"), "spots: no video is accepted; accept some in the gallery"),
        (("sports", "ds"), "no prompt set 'sports' has a video; these have some: spots"),
        (("spots", "ds", "--format", "csv"), "'csv' is not one of 'videofolder', 'webdataset', 'parquet'"),
        (("spots", "ds", "--splits", "train=2"), "splits: 'train=2' cannot be used; allowed are names"),
    ],
)
def test_what_cannot_be_exported_is_said(run, arguments, words):
    """A failed export gives a plain message and makes nothing."""
    done = run("export", *arguments)
    assert done.exit_code in (1, 2)
    assert words in done.output


def test_a_place_among_the_videos_is_refused(run, shop):
    """A place among the videos is refused, since an audit would report the files as unmatched."""
    shop.store.client = object()
    run("review", "accept", "spots", "cat")
    done = run("export", "spots", "s3://videos/seedance/spots")
    assert "s3://videos/seedance/spots is among the stored videos (s3://videos/seedance)" in done.output


def test_a_file_is_no_place_for_a_dataset(run, tmp_path):
    """A file in the folder's place is named, and stays as it is."""
    run("review", "accept", "spots", "cat")
    (tmp_path / "notes.txt").write_text("mine")
    done = run("export", "spots", "notes.txt")
    assert (done.exit_code, done.output) == (1, "Error: notes.txt is a file; name a folder\n")
    assert (tmp_path / "notes.txt").read_text() == "mine"

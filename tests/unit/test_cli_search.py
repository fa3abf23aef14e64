"""The `search` command: what it finds, and what it says where it finds nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_once import prepare_ledger
from trace_support import traced_orders

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.verdict import Judgement, Verdict


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock) -> Iterator[Ledger]:
    """A cat in a garden with a note and a caption, a dog in flight, and an owl that was never ordered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path)})
    prepare_ledger(f"sqlite:///{tmp_path}/seedance/ledger.db")
    ledger = Ledger.open(f"sqlite:///{tmp_path}/seedance/ledger.db", clock=clock)
    orders = traced_orders(ledger, clock)
    wanted = {"owl": PartitionRequest("f-owl", tags={"campaign": "autumn"})}
    ledger.partitions.update("birds", wanted)
    stored = orders.make(
        State.STORED, "cat", charged=4_001_000, request=request("A cat walks slowly in a Garden")
    )
    orders.make(State.SUBMITTED, "dog", request=request("A dog digs in the garden"))
    ledger.verdicts.give("spots", {"cat": Judgement(Verdict.ACCEPTED, "calm light")}, reviewer="ann")
    caption = ScoreResult(
        score="caption", version="1", values={"caption": "a tabby"}, problem=None, scored_at=clock()
    )
    ledger.scores.record(str(stored.sha256), [caption])
    yield ledger
    ledger.close()


def request(prompt: str) -> dict[str, object]:
    return {"prompt": prompt, "task_type": "seedance-2", "mode": "text_to_video", "duration": 4}


def search(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["search", *arguments])


def results(*arguments: str) -> list[str]:
    done = search(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return [row["partition"] for row in json.loads(done.stdout)]


@pytest.mark.usefixtures("ledger")
def test_words_are_found_wherever_they_stand():
    """All words must occur, in prompts, partitions, tags, notes or captions; the newest result is first."""
    assert results("garden") == ["dog", "cat"]
    assert results("garden cat") == results("CALM tabby") == ["cat"]
    assert results('"cat walks"') == ["cat"]
    assert results('"walks cat"') == results("garden", "birds") == []
    assert results("autumn") == results("autumn", "birds") == ["owl"]
    assert results("garden", "--limit", "1") == ["dog"]


@pytest.mark.usefixtures("ledger")
def test_a_table_says_what_a_video_cost_and_what_was_decided():
    """One line for each partition; where there are more than fit, the last line says so."""
    lines = search("garden").stdout.splitlines()
    [cat] = [line.split() for line in lines if " cat " in line]
    assert cat[:5] == ["spots", "cat", "stored", "accepted", "0.4001"]
    assert lines[-1] == "2 partitions"
    assert search("garden", "--limit", "1").stdout.splitlines()[-1] == "the newest 1; --limit shows more"
    assert search("zebra").stdout == (
        "nothing was found: each word must be in a prompt, partition, tag, note or caption\n"
    )


@pytest.mark.usefixtures("ledger")
def test_what_cannot_be_searched_is_refused():
    """A search without a word, with a whole book, or in an unknown set, is refused."""
    assert "holds no word; allowed are 1 to 100" in search(" ").output
    assert "holds 2000 words; allowed are 1 to 100" in search("a cat " * 1000).output
    assert "is not in the range" in search("cat", "--limit", "9" * 20).output
    assert "no prompt set 'spot'; known are birds, spots" in search("cat", "spot").output


def test_an_empty_ledger_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was ever ordered in it, so it may be another ledger than the one that was meant."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": url})
    assert search("cat").stdout == f"Nothing has been ordered yet, according to the ledger {url}\n"
    done = CliRunner().invoke(root, ["review", "list", "spots"])
    assert f"these have some: none, according to the ledger {url}" in done.output

"""`seedance-dagster review`: verdicts from the command line, and as CSV."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from comparison_support import make_variant

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.comparison import Preference, Side
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.review.conditions import ConditionError, read_condition


@pytest.fixture
def run(ledger, ledger_url, orders, tmp_path, monkeypatch):
    """A ledger with three videos of the set spots, and `review` to run on it."""
    orders.make_many(State.STORED, "cat", "dog", tags={"campaign": "spring"})
    orders.make(State.STORED, "owl", charged=3_175_000)
    orders.make(State.SUBMITTED, "fox")
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": ledger_url, "USER": "ann", "LOGNAME": "ann"})
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(root, ["review", *arguments])


def listed(run, *where: str) -> dict[str, str]:
    done = run("list", "spots", "--json", *where)
    assert done.exit_code == 0, done.output
    return {row["partition"]: row["verdict"] for row in json.loads(done.stdout)}


def test_verdicts_are_given_listed_and_taken_back(run):
    """The table and the JSON show what holds."""
    done = run("accept", "spots", "cat", "owl", "--note", "calm")
    assert (done.exit_code, done.stdout) == (0, "spots: 2 accepted\n")
    assert run("discard", "spots", "--where", "verdict=undecided", "--reviewer", "bob").exit_code == 0
    assert listed(run) == {"cat": "accepted", "dog": "discarded", "owl": "accepted"}
    assert run("undo", "spots", "owl").stdout == "spots: 1 undecided\n"
    shown = run("list", "spots").stdout
    assert "calm" in shown
    assert "0.3175" in shown, "as in `spend`"
    assert "1 accepted, 1 discarded, 1 undecided" in shown


def test_conditions_choose_videos(run):
    """Tags, numbers and parts of texts; all of several must hold."""
    assert listed(run, "--where", "tags.campaign=spring", "--where", "partition!=cat") == {"dog": "undecided"}
    assert set(listed(run, "--where", "cost_usd<0.5", "--where", "prompt~OW")) == {"owl"}
    assert listed(run, "--where", "width>5000") == {}


def test_scores_choose_videos(run, ledger):
    """As thresholds do; a video without the value meets no condition on it."""
    [cat] = ledger.videos.current("spots", "cat")
    values = {"motion": 0.3, "caption": "A calm sea", "is_still": False}
    ledger.scores.record(cat.order.sha256, [ScoreResult(score="s", version="1", values=values)])
    for condition in ("motion>=0.2", "motion=0.3", "motion!=1", "caption~calm", "is_still=false"):
        assert listed(run, "--where", f"scores.{condition}") == {"cat": "undecided"}, condition
    for condition in ("motion<0.2", "caption~storm", "is_still=true", "smile!=1", "smile~a"):
        assert listed(run, "--where", f"scores.{condition}") == {}, condition
    row = next(row for row in json.loads(run("list", "spots", "--json").stdout) if row["partition"] == "cat")
    assert row["scores"] == values


def test_a_sheet_goes_out_and_comes_in(run, tmp_path):
    """A spreadsheet with changed verdicts is read; what it repeats is not recorded again."""
    sheet = run("list", "spots", "--csv").stdout
    (tmp_path / "v.csv").write_text(sheet.replace("cat,undecided,", "cat,accepted,good"))
    assert run("import", "spots", "v.csv").stdout == "spots: 1 accepted\n"
    assert run("import", "spots", "v.csv").stdout == "spots: no verdict is new; nothing was recorded\n"
    assert listed(run)["cat"] == "accepted"


@pytest.mark.parametrize(
    "content",
    [
        "partition;verdict;note\r\ncat;Accepted;calm, soft\r\n;;\r\n",
        "sep=;\r\npartition;verdict\r\ncat;accepted\r\n",
        "\ufeffpartition\tverdict\ncat\taccepted\n",
        ",partition,verdict,\n0,cat, accepted ,\n",
    ],
)
def test_a_sheet_is_read_as_spreadsheets_save_it(run, tmp_path, content):
    """Excel in other languages writes semicolons; tables have empty rows and columns, and an index."""
    (tmp_path / "v.csv").write_text(content, newline="")
    assert run("import", "spots", "v.csv").stdout == "spots: 1 accepted\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("accept", "spots"), "name partitions, or choose videos by --where"),
        (("accept", "spots", "fox"), "spots: fox is without a stored video"),
        (("accept", "sports", "cat"), "no prompt set 'sports' has a video; these have some: spots"),
        (("accept", "spots", "cat", "--reviewer", " "), "name the reviewer with --reviewer"),
        (("undo", "spots", "cat"), "no verdict on cat is left to take back"),
        (("import", "spots", "none.csv"), "none.csv: cannot be read: No such file"),
        (("list", "spots", "--where", "colour=red"), "'colour' is not a field of a video; allowed are"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments, words):
    """A plain message, no traceback, and nothing is recorded."""
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert set(listed(run).values()) == {"undecided"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,verdict\ncat,accepted\n", "v.csv: the column partition is missing"),
        (b"partition,verdict\ncat,accept\n", "line 2: verdict is 'accept'; allowed are accepted, discarded"),
        (b"partition,verdict\ncat,accepted\ncat,discarded\n", "line 3: cat is there twice"),
        (b"partition;note\ncat;x\n", "the column verdict is missing; partition and verdict are needed"),
        (b"partition,verdict\ncat,accepted,calm, soft\n", "line 2 has 4 cells for 2 columns; put texts with"),
        (b"partition,verdict\n,accepted\n", "line 2: the partition is empty"),
        (b'partition,verdict\n"cat,accepted\n', "v.csv is not valid CSV: unexpected end of data (line 2)"),
        (b"partition,verdict,sha256\ncat,accepted,00\n", "another video than the one that was looked at"),
        ("partition,verdict\ncat,accepted\n".encode("utf-16"), "it is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_sheet_that_cannot_be_used_is_refused_whole(run, tmp_path, content, words):
    """The message names the line."""
    (tmp_path / "v.csv").write_bytes(content)
    done = run("import", "spots", "v.csv")
    assert done.exit_code == 1
    assert words in done.output
    assert set(listed(run).values()) == {"undecided"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "verdict",
        "cost_usd<cheap",
        "prompt<5",
        "width~5",
        "verdict=good",
        "tags.=x",
        "scores.=1",
        "scores.motion<fast",
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(text):
    """The message says what is allowed."""
    with pytest.raises(ConditionError, match="allowed are"):
        read_condition(text)


def test_compare_shows_what_was_preferred(run, ledger, orders):
    """Wins, ties and the interval, for people and for programs."""
    pair = [make_variant(orders, "mug", resolution) for resolution in ("480p", "720p")]
    sides = [Side(order.request["resolution"], order.sha256) for order in pair]
    for reviewer, preference in (("ann", Preference.RIGHT), ("bob", Preference.NONE)):
        ledger.comparisons.add("spots", "resolution", *sides, preference, reviewer=reviewer)
    wanted = ("compare", "spots", "resolution=480p", "resolution=720p")
    shown = run(*wanted)
    assert shown.exit_code == 0, shown.output
    assert "20.7% to 100.0%" in shown.stdout
    assert "1 of 1 pair judged, with 2 answers of 2 reviewers; no preference: 1" in shown.stdout
    figures = json.loads(run(*wanted, "--json").stdout)
    assert figures["variants"][1]["preferred"] == figures["no_preference"] == 1
    assert figures["variants"][0]["win_rate"] == 0.0
    assert figures["confidence"] == 0.95


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("spots", "resolution=480p", "style=noir"),
            2,
            "are not two variants; allowed are two values of one",
        ),
        (("spots", "resolution", "resolution=480p"), 2, "are not two variants"),
        (("spots", "style=noir", "style=noir"), 2, "are not two variants"),
        (("spots", "style=noir", "style=calm"), 1, "no two videos of one prompt differ in style=noir"),
        (("other", "style=noir", "style=calm"), 1, "no prompt set 'other' has a video"),
    ],
)
def test_compare_says_what_it_needs(run, arguments, code, words):
    """Without a traceback."""
    done = run("compare", *arguments)
    assert done.exit_code == code
    assert words in " ".join(done.output.split())

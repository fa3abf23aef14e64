"""`audit` from the outside: what it shows to people, and what it says to bad input."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from audit_snapshots import books, row, stored_order
from click.testing import CliRunner
from ledger_states_support import NOW

from seedance_dagster.audit.audit import Audit, compare
from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.audit.snapshots import Scope, Seen, VendorSnapshot
from seedance_dagster.cli.commands import audit as cli
from seedance_dagster.cli.root import root


def audited(given, **scope) -> Audit:
    """The audit of books made by hand."""
    from audit_snapshots import expected

    return Audit(Scope(**scope), given, compare(given, Scope(**scope), expected))


@pytest.fixture
def found() -> Audit:
    """An audit with a changed video and a task that nobody ordered."""
    from audit_snapshots import storage

    order = stored_order(1)
    changed = storage([order], seen={order.video_key: Seen(sha256="f" * 64)})
    rows = {"task-1": row(order), "stranger": row()}
    return audited(books([order], storage=changed, vendor=VendorSnapshot(rows=rows)))


def test_people_see_kind_place_cost_and_what_to_do(found, capsys):
    """Each finding has its kind, its place, its money and its advice; sums and totals stand at the end."""
    cli._show(found, None)
    told = capsys.readouterr().out
    for part in ("bytes changed", "s3://videos/seedance/spots/p1", "spots/p1: the video", "0.40", "--repair"):
        assert part in told
    assert "1 unmatched task, 0.40 USD" in told
    last = told.strip().splitlines()[-1]
    assert last == (
        "1 orders, 2 tasks in the vendor's history, 1 partitions in Dagster, 3 objects in S3: 2 findings"
    )


def test_people_see_what_a_repair_did(found, capsys):
    """Beside each finding stands what was done about it, or why nothing was."""
    stranger, changed = found.findings
    cli._show(
        found,
        {
            stranger: RepairResult(False, "an audit only names it"),
            changed: RepairResult(True, "fetched again"),
        },
    )
    told = capsys.readouterr().out
    assert "mended: fetched again" in told
    assert "left: an audit only names it" in told


def test_people_see_that_all_is_well(capsys):
    """A clean audit is one line."""
    cli._show(audited(books([stored_order(1)])), None)
    assert capsys.readouterr().out.strip().endswith("all four books agree")


def test_machines_get_one_stable_document(found):
    """The JSON has the same names in every audit, and repairs only where there was one."""
    document = cli._as_json(found, None)
    assert list(document) == [*("audited_at", "prompt_set", "since", "deep", "books", "findings", "totals")]
    assert list(document["findings"][0]) == [
        *("kind", "prompt_set", "partition", "order_id", "task_id", "where", "what", "cost_points"),
        *("advice", "cost_usd"),
    ]
    repaired = cli._as_json(found, dict.fromkeys(found.findings, RepairResult(True, "done")))
    assert repaired["findings"][0]["repair"] == {"repaired": True, "what": "done"}
    since = cli._as_json(audited(books(), since=NOW - timedelta(days=1)), None)
    assert (since["since"], since["totals"]) == ("2026-04-05T18:00:00+00:00", {})


@pytest.mark.parametrize(
    ("arguments", "home", "message", "status"),
    [
        (["--since", "yesterday"], None, "'yesterday' does not match the formats", 2),
        (["one", "two"], None, "unexpected extra argument", 2),
        ([], None, "set DAGSTER_HOME to the folder", 1),
        ([], "relative", "set DAGSTER_HOME to the folder", 1),
        ([], "/no/such/folder", "set DAGSTER_HOME to the folder", 1),
    ],
)
def test_bad_input_is_answered_in_words(tmp_path, monkeypatch, arguments, home, message, status):
    """No traceback: a message, and a status other than 0."""
    monkeypatch.chdir(tmp_path)
    settings = {"SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db", "AWS_DEFAULT_REGION": "us-east-1"}
    monkeypatch.setattr("os.environ", settings | ({"DAGSTER_HOME": home} if home else {}))
    done = CliRunner().invoke(root, ["audit", *arguments])
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (status, True)
    assert message in done.output


def test_a_dagster_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    """A broken configuration of Dagster is answered in words, with the folder that it is in."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: [")
    monkeypatch.chdir(tmp_path)
    settings = {"SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db", "AWS_DEFAULT_REGION": "us-east-1"}
    monkeypatch.setattr("os.environ", settings | {"DAGSTER_HOME": str(home)})
    done = CliRunner().invoke(root, ["audit"])
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (1, True)
    assert f"the Dagster in {home} cannot be used" in done.output


def test_comparing_knows_no_dagster():
    """The room of the audit imports neither Dagster nor the rooms above it."""
    code = (
        "import sys, seedance_dagster.audit.repair\n"
        "above = ('dagster', 'seedance_dagster.defs', 'seedance_dagster.cli')\n"
        "print([name for name in above if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

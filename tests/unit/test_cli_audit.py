"""The `audit` command: its output, and its answers to bad input."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from audit_snapshots import expected, make_snapshots, row, storage, stored_order
from click.testing import CliRunner
from factories import NOW

from seedance_dagster.audit.audit import Audit, Compared
from seedance_dagster.audit.compare import compare
from seedance_dagster.audit.repair import RepairResult
from seedance_dagster.audit.snapshots import InspectedObject, Scope, VendorSnapshot
from seedance_dagster.cli.commands import audit as cli
from seedance_dagster.cli.root import root


def audited(snapshots, **scope) -> Audit:
    """Return the audit of snapshots made by hand."""
    compared = Compared(
        orders=len(snapshots.ledger.orders),
        vendor_tasks=len(snapshots.vendor.history),
        materialized_partitions=len(snapshots.dagster.newest),
        objects=len(snapshots.storage.objects),
        archived_entries=0,
        replaced_objects=0,
    )
    return Audit(Scope(**scope), snapshots, compared, compare(snapshots, Scope(**scope), expected))


@pytest.fixture
def audit() -> Audit:
    """An audit with a changed video and an unmatched task."""
    order = stored_order(1)
    changed = storage([order], inspected={order.video_key: InspectedObject(sha256="f" * 64)})
    rows = {"task-1": row(order), "foreign": row()}
    return audited(make_snapshots([order], storage=changed, vendor=VendorSnapshot(history=rows)))


def test_the_table_shows_kind_location_cost_and_advice(audit, capsys):
    """Each finding shows its kind, location, cost and advice; totals follow."""
    cli._show(audit, None)
    output = capsys.readouterr().out
    for part in ("bytes changed", "s3://videos/seedance/spots/p1", "spots/p1: the video", "0.40", "--repair"):
        assert part in output
    assert "1 unmatched task, 0.40 USD" in output
    last = output.strip().splitlines()[-1]
    assert last == (
        "1 order, 2 tasks in the vendor's history, 1 partition in Dagster, 3 objects in S3: 2 findings"
    )


def test_the_table_shows_what_a_repair_did(audit, capsys):
    """Each finding shows what was done about it, or why nothing was done."""
    unmatched, changed = audit.findings
    cli._show(
        audit,
        {
            unmatched: RepairResult(False, "an audit only reports it"),
            changed: RepairResult(True, "fetched again"),
        },
    )
    output = capsys.readouterr().out
    assert "repaired: fetched again" in output
    assert "not repaired: an audit only reports it" in output


def test_a_clean_audit_is_one_line(capsys):
    """A clean audit is one line with the counts that says that everything agrees."""
    cli._show(audited(make_snapshots([stored_order(1)])), None)
    assert capsys.readouterr().out.strip().endswith("everything agrees")


def test_the_json_document_has_stable_names(audit):
    """The names are the same in every audit; repairs are there only after a repair."""
    document = cli._as_json(audit, None)
    assert list(document) == [
        *("audited_at", "prompt_set", "since", "deep", "compared", "findings", "totals")
    ]
    assert list(document["findings"][0]) == [
        *("kind", "prompt_set", "partition", "order_id", "task_id", "location", "message", "cost_points"),
        *("advice", "evidence", "cost_usd"),
    ]
    repaired = cli._as_json(audit, dict.fromkeys(audit.findings, RepairResult(True, "done")))
    assert repaired["findings"][0]["repair"] == {"repaired": True, "message": "done"}
    since = cli._as_json(audited(make_snapshots(), since=NOW - timedelta(days=1)), None)
    assert (since["since"], since["totals"]) == ("2026-04-05T18:00:00+00:00", {})


@pytest.mark.parametrize(
    ("arguments", "home", "message", "status"),
    [
        (["--since", "yesterday"], None, "'yesterday' is not a time; write 2026-04-06", 2),
        (["spots/a"], None, "'spots/a' is not a prompt set, and an audit covers whole sets: audit spots", 2),
        ([""], None, "'' is not a prompt set", 2),
        (["one", "two"], None, "unexpected extra argument", 2),
        ([], None, "set it to the absolute path of Dagster's folder", 1),
        ([], "relative", "set it to the absolute path of Dagster's folder", 1),
        ([], "/no/such/folder", "set it to the absolute path of Dagster's folder", 1),
    ],
)
def test_bad_input_gives_a_message(tmp_path, monkeypatch, arguments, home, message, status):
    """Bad input gives a message and an exit status other than 0, without a traceback."""
    monkeypatch.chdir(tmp_path)
    settings = {"SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db", "AWS_DEFAULT_REGION": "us-east-1"}
    monkeypatch.setattr("os.environ", settings | ({"DAGSTER_HOME": home} if home else {}))
    done = CliRunner().invoke(root, ["audit", *arguments])
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (status, True)
    assert message in done.output


def test_an_unusable_dagster_gives_a_message(tmp_path, monkeypatch):
    """For a broken configuration of Dagster the message names its folder."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: [")
    monkeypatch.chdir(tmp_path)
    settings = {"SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db", "AWS_DEFAULT_REGION": "us-east-1"}
    monkeypatch.setattr("os.environ", settings | {"DAGSTER_HOME": str(home)})
    done = CliRunner().invoke(root, ["audit"])
    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (1, True)
    assert f"the Dagster in {home} cannot be used" in done.output


@pytest.mark.further
def test_the_audit_package_imports_no_dagster():
    """`seedance_dagster.audit` imports neither Dagster nor the packages above it."""
    code = (
        "import sys, seedance_dagster.audit.repair\n"
        "above = ('dagster', 'seedance_dagster.defs', 'seedance_dagster.cli')\n"
        "print([name for name in above if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

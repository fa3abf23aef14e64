"""200 prompts with references of every kind and faults on: four books agree, what is planted is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from audit_support import Vandal, prompts

from seedance_dagster.cli.local.ports import free_port
from seedance_dagster.ledger.order import State

NAME, COUNT = "spots", 200


def audit(it: Any, *arguments: str) -> tuple[dict[str, Any], int]:
    """The command as a shell starts it: what it told, and its status."""
    program = Path(sys.executable).with_name("seedance-dagster")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEEDANCE_")}
    done = subprocess.run(
        [program, "audit", "--json", *arguments],
        env=environ | it.stack.environ,
        cwd=it.folder,
        capture_output=True,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout), done.returncode


def stored(it: Any) -> dict[str, Any]:
    with it.ledger() as ledger:
        return {order.partition: order for order in ledger.queries.find(states={State.STORED})}


def test_four_books_of_200_prompts(world, tmp_path):
    """Clean while it runs and after it; seven plants are seven findings, of which a repair leaves two."""
    port = free_port()
    texts = prompts(f"http://127.0.0.1:{port}", COUNT)
    file = tmp_path / f"{NAME}.json"
    rows = [{"id": key, "duration": 4} | fields for key, fields in texts.items()]
    file.write_text(json.dumps({"name": NAME, "prompts": rows}))
    refused = {key for key, fields in texts.items() if "[fault:moderation" in fields["prompt"]}
    options = ("--files-port", str(port), "--render-seconds", "2", "--plan-limit", "50")
    with world(file, *options) as it:
        keys = it.partitions(NAME, COUNT)
        backfill = it.backfill(["prompts", "tasks", "videos"], keys, NAME)
        it.until(lambda: len(stored(it)) > COUNT // 4, 240)
        told, status = audit(it)
        assert (told["findings"], status) == ([], 0)
        it.ended(backfill, 600)
        told, status = audit(it, "--deep")
        assert (told["findings"], status) == ([], 0)
        assert told["books"]["materialized_partitions"] == COUNT - len(refused)

        environ = it.stack.environ
        vandal = Vandal(
            it.s3(),
            environ["SEEDANCE_S3_BUCKET"],
            it.folder / "dagster" / "seedance" / "ledger.db",
            it.folder / "dagster",
            environ["GOAPI_BASE_URL"],
        )
        planted = vandal.plant(list(stored(it).values()))
        told, status = audit(it, "--deep")
        named = {each["kind"]: each["partition"] for each in told["findings"]}
        assert (len(told["findings"]), status) == (7, 1)
        wanted = {kind: order.partition for kind, order in planted.items()}
        assert named == {**wanted, "unmatched_task": None}

        told, _ = audit(it, "--deep", "--repair")
        left = {each["kind"] for each in told["findings"] if not each["repair"]["repaired"]}
        assert left == {"unmatched_task", "charge_differs"}
        it.until(lambda: len(stored(it)) == COUNT - len(refused), 120)
        it.until(lambda: len(audit(it, "--deep")[0]["findings"]) == 2, 60)
        told, status = audit(it, "--deep")
        assert ({each["kind"] for each in told["findings"]}, status) == (left, 1)
        assert it.books()["most_accepts_of_one_prompt"] == 1
        # What was mended is no older than what it was made from.
        assert {it.stale(partition, NAME, "videos") for partition in stored(it)} == {"FRESH"}

"""An audit of 200 prompts with references of every kind and faults: clean, then all damage is found."""

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


def audit(system: Any, *arguments: str) -> tuple[dict[str, Any], int]:
    """Run the command as a shell would; return its document and exit status."""
    program = Path(sys.executable).with_name("seedance-dagster")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEEDANCE_")}
    done = subprocess.run(
        [program, "audit", "--json", *arguments],
        env=environ | system.stack.environ,
        cwd=system.folder,
        capture_output=True,
        check=False,
    )
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout), done.returncode


def stored(system: Any) -> dict[str, Any]:
    with system.ledger() as ledger:
        return {order.partition: order for order in ledger.queries.find(states={State.STORED})}


def test_an_audit_of_200_prompts(world, tmp_path):
    """An audit is clean during and after a backfill; of seven kinds of damage a repair leaves two."""
    port = free_port()
    texts = prompts(f"http://127.0.0.1:{port}", COUNT)
    file = tmp_path / f"{NAME}.json"
    rows = [{"id": key, "duration": 4} | fields for key, fields in texts.items()]
    file.write_text(json.dumps({"name": NAME, "prompts": rows}))
    refused = {key for key, fields in texts.items() if "[fault:moderation" in fields["prompt"]}
    options = ("--files-port", str(port), "--render-seconds", "2", "--plan-limit", "50")
    with world(file, *options) as system:
        keys = system.partitions(NAME, COUNT)
        backfill = system.backfill(["prompts", "tasks", "videos"], keys, NAME)
        system.until(lambda: len(stored(system)) > COUNT // 4, 240)
        document, status = audit(system)
        assert (document["findings"], status) == ([], 0)
        system.ended(backfill, 600)
        document, status = audit(system, "--deep")
        assert (document["findings"], status) == ([], 0)
        assert document["compared"]["materialized_partitions"] == COUNT - len(refused)

        environ = system.stack.environ
        vandal = Vandal(
            system.s3(),
            environ["SEEDANCE_S3_BUCKET"],
            system.folder / "dagster" / "seedance" / "ledger.db",
            system.folder / "dagster",
            environ["GOAPI_BASE_URL"],
        )
        planted = vandal.plant(list(stored(system).values()))
        document, status = audit(system, "--deep")
        partitions = {finding["kind"]: finding["partition"] for finding in document["findings"]}
        assert (len(document["findings"]), status) == (7, 1)
        wanted = {kind: order.partition for kind, order in planted.items()}
        assert partitions == {**wanted, "unmatched_task": None}

        document, _ = audit(system, "--deep", "--repair")
        left = {finding["kind"] for finding in document["findings"] if not finding["repair"]["repaired"]}
        assert left == {"unmatched_task", "charge_differs"}
        system.until(lambda: len(stored(system)) == COUNT - len(refused), 120)
        system.until(lambda: len(audit(system, "--deep")[0]["findings"]) == 2, 60)
        document, status = audit(system, "--deep")
        assert ({finding["kind"] for finding in document["findings"]}, status) == (left, 1)
        assert system.books()["most_tasks_of_one_prompt"] == 1
        # What was repaired is newer than its upstream assets.
        assert {system.stale(partition, NAME, "videos") for partition in stored(system)} == {"FRESH"}

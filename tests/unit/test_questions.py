"""The answers of docs/questions.md about money, tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_once import prepare_ledger

from seedance_dagster.cli.root import root
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import NewOrder
from seedance_dagster.ledger.orders import OrderRequest
from seedance_dagster.prompts import load_prompt_sets

PROMPTS = [{"id": "cat", "prompt": "a cat"}, {"id": "dog", "prompt": "a dog"}]


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plans prompts and defaults of a set; those of `PROMPTS` with a duration of 5 s were ordered before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path / "home")})
    prepare_ledger(f"sqlite:///{tmp_path}/home/seedance/ledger.db")
    folder = tmp_path / "prompt_sets"
    folder.mkdir()

    def plan(prompts=PROMPTS, file="cats.json", **defaults: object) -> list[str]:
        for old in folder.iterdir():
            old.unlink()
        document = {"name": "cats", "defaults": {"duration": 5} | defaults, "prompts": prompts}
        (folder / file).write_text(json.dumps(document))
        planned = json.loads(CliRunner().invoke(root, ["plan", "--json"]).stdout)
        return [
            prompt["outcome"] for prompt_set in planned["prompt_sets"] for prompt in prompt_set["prompts"]
        ]

    assert plan() == ["new", "new"]
    order_all(folder)
    assert plan() == ["joined", "joined"]
    return plan


def order_all(folder: Path) -> None:
    """Order what the files ask for."""
    ledger = Ledger.open(f"sqlite:///{folder.parent}/home/seedance/ledger.db")
    [cats] = load_prompt_sets(folder).sets
    new = [
        NewOrder(
            prompt_set="cats",
            partition=key,
            fingerprint=partition.fingerprint,
            request=partition.request.model_dump(mode="json"),
            estimated_points=4_000_000,
            reserved_points=4_000_000,
            price_table="t",
            price_formula="f",
        )
        for key, partition in cats.partitions.items()
    ]
    ledger.orders.place(new, OrderRequest(idempotency_key="c", run_id="r"))
    ledger.close()


@pytest.mark.parametrize(
    "changed",
    [{"task_type": "seedance-2"}, {"duration": 8}, {"aspect_ratio": "9:16"}],
    ids=str,
)
def test_defaults_that_change_the_rendering_order_the_whole_set_again(plan, changed):
    """A changed model as well; a change back costs nothing."""
    assert plan(**changed) == ["new", "new"]
    assert plan() == ["joined", "joined"]


@pytest.mark.parametrize(
    "changed",
    [
        {"prompts": [prompt | {"tags": {"campaign": "spring"}} for prompt in PROMPTS]},
        {"prompts": PROMPTS[::-1]},
        {"prompts": [prompt | {"id": f"new-{prompt['id']}"} for prompt in PROMPTS]},
        {"file": "renamed.json"},
    ],
    ids=["tags", "rows sorted", "ids", "file renamed"],
)
def test_what_changes_no_rendering_pays_for_nothing(plan, changed):
    """Tags, the order of rows, ids and names of files do not count."""
    assert plan(**changed) == ["joined", "joined"]


def test_one_more_take_pays_for_that_take_alone(plan):
    """The takes of other prompts do not count either."""
    assert plan(prompts=[PROMPTS[0] | {"takes": 2}, PROMPTS[1]]) == ["joined", "new", "joined"]


def test_subfolders_are_not_read(plan, tmp_path):
    """Prompt files in subfolders are not read."""
    inner = tmp_path / "prompt_sets" / "inner"
    inner.mkdir()
    (inner / "dogs.json").write_text(json.dumps({"name": "dogs", "prompts": PROMPTS}))
    assert load_prompt_sets(tmp_path / "prompt_sets").names == ("cats",)

"""`<set>/dataset`: a version of the accepted videos as tables in S3."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import dagster as dg
import pytest
from dataset_support import Shop

from seedance_dagster.defs import dataset as module
from seedance_dagster.defs.naming import VIDEO_INPUTS, Names
from seedance_dagster.defs.steps.dataset import materialize_dataset
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.storage.keys import is_own_file


@pytest.fixture
def shop(orders) -> Shop:
    return Shop(orders)


@pytest.fixture
def services(shop) -> SimpleNamespace:
    return SimpleNamespace(ledger=shop.ledger, store=shop.store, claim_prefix=lambda: None)


@pytest.fixture
def materialize(services):
    """Materializes the dataset of spots; returns its result, or None."""

    def materialize() -> dg.MaterializeResult | None:
        results = list(materialize_dataset(dg.build_asset_context(), services, "spots"))
        return results[0] if results else None

    return materialize


def test_a_version_is_written_once_and_kept(shop, materialize):
    """A version is the hash of its content; its tables are written once, in a folder of that name."""
    shop.accepted("cat", "dog")
    first = materialize()
    puts = shop.store.puts
    assert materialize().data_version == first.data_version
    assert shop.store.puts == puts
    shop.make("elk")
    shop.judge(Verdict.DISCARDED, "dog", "elk")
    second = materialize()
    folders = {
        key.rpartition("/")[0] for key in shop.store.objects if key.startswith("seedance/spots/dataset/")
    }
    assert folders == {f"seedance/spots/dataset/{result.data_version.value}" for result in (first, second)}
    assert all(is_own_file("seedance", f"{folder}/train.parquet") for folder in folders)
    assert second.metadata["seedance/videos"] == 1
    assert second.metadata["seedance/cost_per_accepted_usd"] == pytest.approx(1.2)
    assert second.metadata["seedance/discarded_share"] == pytest.approx(2 / 3)


def test_nothing_is_written_without_accepted_videos(shop, services, monkeypatch):
    """Without accepted videos nothing is written; the asset shows that it has none, so no backfill is red."""
    names = Names()
    monkeypatch.setattr(module, "services_of", lambda *_: nullcontext(services))
    resources = dict.fromkeys(names.services, dg.ResourceDefinition.none_resource())
    resources[VIDEO_INPUTS] = dg.IOManagerDefinition.hardcoded_io_manager(dg.InMemoryIOManager())
    asset = module.build_dataset_asset(names, "spots")
    shop.make("cat")
    [event] = dg.materialize([asset], resources=resources).asset_materializations_for_node("spots__dataset")
    assert {name: value.value for name, value in event.metadata.items()} == {
        "dagster/row_count": 0,
        "seedance/videos": 0,
    }
    assert shop.store.puts == 0
    shop.judge(Verdict.ACCEPTED, "cat")
    [event] = dg.materialize([asset], resources=resources).asset_materializations_for_node("spots__dataset")
    assert event.metadata["seedance/videos"].value == 1

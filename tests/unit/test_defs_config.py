"""The config of a run: what it may change, and what it may not."""

from __future__ import annotations

import dagster as dg
import pytest
from pydantic import ValidationError

from seedance_dagster.defs.configs import GenerationConfig, PendingConfig, PlanConfig
from seedance_dagster.defs.definitions import build_seedance_definitions
from seedance_dagster.defs.resources import LedgerResource, SeedanceResource, VideoStoreResource
from seedance_dagster.defs.sealed_resources import sealed
from seedance_dagster.ledger.errors import LedgerUnavailableError


@pytest.fixture
def defs(tmp_path, monkeypatch) -> dg.Definitions:
    """A code location with a budget, a key and a ledger."""
    (tmp_path / "spots.yaml").write_text("{name: spots, prompts: [{id: cat, prompt: a cat}]}")
    monkeypatch.setenv("THE_KEY", "a secret key")
    return build_seedance_definitions(
        tmp_path,
        seedance=SeedanceResource(api_key=dg.EnvVar("THE_KEY"), budget_usd_per_day=0.1),
        video_store=VideoStoreResource(bucket="videos"),
        ledger=LedgerResource(url=f"sqlite:///{tmp_path}/ledger.db"),
    )


@pytest.mark.parametrize(
    ("resource", "field", "value"),
    [
        ("seedance", "budget_usd_per_day", 1000),
        ("seedance", "max_in_flight", 1000),
        ("seedance", "base_url", "https://api.elsewhere.example"),
        ("seedance", "api_key", "another"),
        ("seedance_ledger", "url", "sqlite:///elsewhere.db"),
        ("seedance_video_store", "bucket", "elsewhere"),
        ("seedance_video_store", "prefix", "elsewhere"),
    ],
)
def test_no_run_changes_a_resource(defs, resource, field, value):
    """The launchpad can neither loosen a limit nor point elsewhere (d2, d3), and nothing falls back (d15)."""
    config = {"resources": {resource: {"config": {field: value}}}}
    for job in (defs.resolve_implicit_global_asset_job_def(), defs.resolve_job_def("seedance_order_pending")):
        with pytest.raises(dg.DagsterInvalidConfigError) as error:
            dg.validate_run_config(job, config)
        assert field in str(error.value)
        assert str(value) not in str(error.value).replace(str(config), "")


def test_a_copy_of_a_resource_keeps_the_fields_that_were_changed(monkeypatch):
    """Such as a budget, also beside fields from the environment."""
    monkeypatch.setenv("THE_KEY", "a secret key")
    original = SeedanceResource(api_key=dg.EnvVar("THE_KEY"), budget_usd_per_day=10)
    copy = original.model_copy(update={"budget_usd_per_day": 0.1})
    with dg.build_resources({"seedance": sealed(copy)}) as resources:
        assert resources.seedance.budget_usd_per_day == 0.1
        assert resources.seedance.api_key == "a secret key"


def test_a_run_may_change_what_it_asks_for(defs):
    """A run's config may change what the run orders, and its descriptions name the cost of a mistake."""
    job = defs.resolve_implicit_global_asset_job_def()
    wishes = {"regenerate": True, "resubmit_rejected": True, "max_cost_usd": 0.05}
    checked = dg.validate_run_config(job, {"ops": {"spots_generation": {"config": wishes}}})
    assert wishes.items() <= checked["ops"]["spots_generation"]["config"].items()


def test_an_unknown_wish_is_refused(defs):
    """A misspelled name does not start a run."""
    config = {"ops": {"spots_generation": {"config": {"regenerat": True}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="regenerat"):
        dg.validate_run_config(defs.resolve_implicit_global_asset_job_def(), config)


def test_a_step_gets_the_resources_that_were_defined(defs):
    """A variable's value is read in the run's process."""
    with dg.build_resources(dict(defs.resources)) as resources:
        assert resources.seedance.api_key == "a secret key"
        assert resources.seedance.budget_usd_per_day == 0.1
        assert resources.seedance_video_store.bucket == "videos"
        assert resources.seedance_ledger.url.endswith("ledger.db")
    assert "a secret key" not in repr(defs.resources)


@pytest.mark.parametrize(
    "fields",
    [
        {"budget_usd_per_day": dg.EnvVar("LIMIT")},
        {"budget_usd_per_day": dg.EnvVar.int("LIMIT")},
        {"max_in_flight": dg.EnvVar.int("LIMIT")},
        {"reference_links": dg.EnvVar("LINKS")},
    ],
)
def test_a_field_that_cannot_be_a_variable_is_named(fields):
    """The message says what to write, instead of calling the variable's name no number."""
    [name] = fields
    with pytest.raises(ValidationError, match=rf'dg.EnvVar, .* such as {name}=os.environ\["NAME"\]'):
        SeedanceResource(**fields)
    assert SeedanceResource(budget_usd_per_day="5").budget_usd_per_day == 5, "as in the environment"


@pytest.mark.parametrize("config", [GenerationConfig, PendingConfig, PlanConfig])
def test_a_field_without_a_value_has_its_default(config):
    """The launchpad accepts `regenerate:` without a value, which changes nothing."""
    assert config(**dict.fromkeys(config.model_fields)) == config()


def test_no_ledger_is_kept_where_dagster_deletes_it(tmp_path):
    """A ledger in the folder that `dagster dev` deletes is refused: payments would be forgotten."""
    (tmp_path / ".tmp_dagster_home_x").mkdir()
    with (
        dg.DagsterInstance.local_temp(str(tmp_path / ".tmp_dagster_home_x")) as instance,
        pytest.raises(LedgerUnavailableError, match="Dagster would delete the ledger"),
    ):
        LedgerResource().open_ledger(instance).__enter__()


@pytest.mark.parametrize("url", ["", "sqlite:///{}/ledger.db"])
def test_a_ledger_that_ends_with_its_instance_is_named(tmp_path, caplog, url):
    """A warning says so of an instance in memory, unless the ledger is elsewhere."""
    resource = LedgerResource(url=url.format(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance, resource.open_ledger(instance) as ledger:
        assert ledger.queries.find() == []
    words = "the ledger, the record of all payments, is deleted with this Dagster instance"
    assert (words in caplog.text) is (not url)

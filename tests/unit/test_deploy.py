"""The files of deploy/, read as their programs read them."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import dagster as dg
import jsonschema
import pytest
import sqlalchemy as sa
import yaml
from dagster_celery import celery_executor
from dagster_postgres import PostgresEventLogStorage

from seedance_dagster.defs.naming import WAITS_TAG
from seedance_dagster.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OWN = {str(field.validation_alias) for field in Settings.model_fields.values()} - {"DAGSTER_HOME"}
AWS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
}
SECRETS = {str(field.validation_alias) for field in Settings.model_fields.values() if not field.repr} | {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
}


def load(name: str) -> dict:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def compose():
    return load("compose.yaml")


# dagster.yaml


@pytest.fixture(params=["dagster.yaml", pytest.param("celery/dagster.yaml", marks=pytest.mark.long)])
def instance(request, tmp_path, monkeypatch, postgres_url):
    """Dagster's instance as a file of deploy/ describes it, on a real PostgreSQL server."""
    text = (DEPLOY / request.param).read_text("utf-8").replace("/opt/dagster/home", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(text)
    server = sa.make_url(postgres_url).set(drivername="postgresql+psycopg2")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", server.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_CELERY_BROKER_URL", "redis://redis:6379/0")
    monkeypatch.setenv("DAGSTER_CELERY_BACKEND_URL", "redis://redis:6379/1")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_dagster_takes_the_instance(instance):
    """Its storage works, large backfills have time to start, and killed runs are retried."""
    assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
    instance.add_dynamic_partitions("spots_prompts", ["cat"])
    assert instance.get_dynamic_partitions("spots_prompts") == ["cat"]
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_start_timeout_seconds == 1800
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    [[key, value]] = WAITS_TAG.items()
    assert instance.get_concurrency_config().run_queue_config.tag_concurrency_limits == [
        {"key": key, "value": value, "limit": 4}
    ]


def test_the_run_launcher_loads(instance):
    """The launcher's class and its config are Dagster's."""
    assert type(instance.run_launcher).__name__ in ("DefaultRunLauncher", "CeleryRunLauncher")


def test_a_celery_worker_takes_its_file(monkeypatch):
    """The executor's own schema, by which a worker reads it, allows it; no run is taken in advance."""
    for name in ("BROKER", "BACKEND"):
        monkeypatch.setenv(f"DAGSTER_CELERY_{name}_URL", "redis://redis:6379/0")
    config = load("celery/worker.yaml")["execution"]["config"]
    assert dg.validate_run_config(_celery_job(), {"execution": {"config": config}})
    assert config["config_source"]["worker_prefetch_multiplier"] == 1


def _celery_job() -> dg.JobDefinition:
    @dg.job(executor_def=celery_executor)
    def nothing() -> None: ...

    return nothing


# compose.yaml


def test_the_compose_file_is_valid(compose):
    """The compose file follows the schema that Compose publishes."""
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(compose, json.loads(schema.read_text("utf-8")))


def test_every_variable_reaches_the_code_server(compose):
    """Each option of ours, and those of boto3, can be set from outside."""
    names = set(compose["services"]["code"]["environment"])
    assert {name for name in names if name.startswith(("SEEDANCE_", "GOAPI_"))} == OWN
    assert {name for name in names if name.startswith("AWS_")} == AWS


def test_only_the_code_server_has_secrets(compose):
    """Webserver and daemon know neither the API key nor the bucket."""
    for name in ("webserver", "daemon"):
        assert set(compose["services"][name]["environment"]) == {"DAGSTER_POSTGRES_URL"}


def test_nothing_is_paid_for_without_settings(compose):
    """By default the emulator on the code server's own machine is used, and a budget applies."""
    code = compose["services"]["code"]["environment"]
    defaults = {name: re.sub(r"^\$\{\w+:?-(.*)\}$", r"\1", value or "") for name, value in code.items()}
    settings = Settings.from_environ({name: value for name, value in defaults.items() if "$" not in value})
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.upload_url.startswith(settings.base_url)
    assert settings.budget_usd_per_day == 20
    emulator = compose["services"]["emulator"]
    assert emulator["network_mode"] == "service:code"
    assert emulator["command"][emulator["command"].index("--api-key") + 1] == settings.api_key
    assert emulator["command"][emulator["command"].index("--port") + 1] == "8080"


def test_the_profiles_add_what_stands_in_for_an_account(compose):
    """The emulator's profile has a bucket too; without profiles there is neither."""
    profiles = {name: set(service.get("profiles", ())) for name, service in compose["services"].items()}
    assert {name for name, of in profiles.items() if not of} == {"postgres", "code", "webserver", "daemon"}
    assert {name for name, of in profiles.items() if "emulator" in of} == {"emulator", "minio", "bucket"}
    assert {name for name, of in profiles.items() if "minio" in of} == {"minio", "bucket"}


def test_nothing_listens_to_other_machines(compose):
    """The UI has no password, so its port is open on this machine only; every volume is declared."""
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).is_dir(), volume


def test_the_example_names_known_variables():
    """Each line of env.example is a variable that compose.yaml passes on."""
    lines = re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text("utf-8"), re.MULTILINE)
    assert set(lines) <= OWN | AWS | {"POSTGRES_PASSWORD"}
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8")


# Kubernetes


def test_every_variable_reaches_the_pods():
    """Config map and secret have each variable once, and secrets are in the secret alone."""
    config, secret = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))
    assert not set(config["data"]) & set(secret["stringData"])
    assert set(config["data"]) | set(secret["stringData"]) == OWN | AWS | {"TMPDIR"}
    assert SECRETS - set(secret["stringData"]) == {"SEEDANCE_C2PA_CERTIFICATE"}, "a certificate is public"
    Settings.from_environ(config["data"])


def test_the_chart_gives_them_to_server_and_runs():
    """The deployment names both by their names, runs inherit them, and a stopped run may finish its POSTs."""
    values = load("helm-values.yaml")
    [deployment] = values["dagster-user-deployments"]["deployments"]
    config, secret = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8"))
    assert deployment["envConfigMaps"] == [{"name": config["metadata"]["name"]}]
    assert deployment["envSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    [mount] = deployment["volumeMounts"]
    assert mount["mountPath"] == config["data"]["TMPDIR"]
    pod = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    assert pod["terminationGracePeriodSeconds"] > Settings.model_fields["post_timeout_s"].default
    daemon = values["dagsterDaemon"]
    assert daemon["runMonitoring"]["startTimeoutSeconds"] == 1800
    [limit] = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]["tagConcurrencyLimits"]
    assert {limit["key"]: limit["value"]} == WAITS_TAG


# Dockerfile


def test_what_the_image_copies_exists():
    """Each file that the Dockerfile copies is there, and is not ignored; nobody runs as root."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    kept = set(re.findall(r"^!(\S+)", (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE))
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()]
    assert set(copied) == kept
    assert all((ROOT / name).exists() for name in copied)
    assert text.rindex("USER dagster") < text.rindex("CMD")
    assert text.rindex("RUN ") < text.rindex("USER dagster")

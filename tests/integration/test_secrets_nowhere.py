"""A vendor that quotes every secret in every reply, services that are down: no secret is written anywhere."""

from __future__ import annotations

import logging
import os
from typing import Self

import pytest
from click.testing import CliRunner
from code_location import QUIET, CodeLocation, running_location
from harness import API_KEY
from secret_forms import all_forms

from seedance_dagster import LedgerResource, VideoStoreResource
from seedance_dagster.cli.local.programs import S3Service
from seedance_dagster.cli.root import COMMANDS as COMMAND_NAMES
from seedance_dagster.cli.root import root
from seedance_dagster.emulator import broken, emulator, files, vendor_api
from seedance_dagster.emulator.responses import Response
from seedance_dagster.ledger.order import State

pytestmark = [pytest.mark.integration, QUIET]

HELD = {
    "SEEDANCE_WEBHOOK_SECRET": "hook&PLANTED<2>'\"",
    "AWS_SESSION_TOKEN": "tok3n/PLANTED+one==",
    "PGPASSWORD": "ledger PLANTED ä3",
}
PROMPTS = {
    "plain": "a cat",
    "rejected": "[fault:moderation] a dog",
    "refused": "[fault:invalid-10000] a bird",
    "odd": "[fault:unknown-word*1] a fish",
    "late": "[fault:download-500*1][fault:get-403*1][fault:get-error-in-200*1] a fox",
}
COMMANDS = (
    *(("status",), ("status", "--json"), ("plan",), ("spend",), ("account",), ("reconcile",)),
    *(("trace", "spots/rejected"), ("trace", "spots/plain"), ("audit", "--deep"), ("audit", "--json")),
)


def plant(patch: pytest.MonkeyPatch, secrets: list[str]) -> None:
    """Let the emulator quote the secrets in each text of each reply, and in the pages of its file host."""
    texts = [form for secret in secrets for form in all_forms(secret)]
    quoted = "quoting: " + " ".join(texts)
    task_json, account, history = emulator.task_json, vendor_api.account_info, vendor_api.history_page
    envelope = broken.envelope

    def task(record, **options):
        shown = task_json(record, **options)
        shown["logs"] = [*(shown["logs"] or ()), *texts, {"message": quoted}]
        shown["error"] |= {"raw_message": quoted, "message": f"{shown['error']['message']} {quoted}"}
        shown["detail"] = {"request": {text: [text] for text in texts}}
        shown["input"] = shown["input"] | {text: text for text in texts}
        shown["meta"] |= {"note": quoted}
        if shown["status"] == "finalizing":
            shown["status"] = f"waiting for {texts[0]}"
        if shown["output"]:
            shown["output"] |= {texts[0]: quoted}
        return shown

    def with_message(data, *, message="success", **options):
        return envelope(data, message=f"{message} {quoted}", **options)

    patch.setattr(emulator, "task_json", task)
    patch.setattr(
        vendor_api, "account_info", lambda *args: account(*args) | {"plan": quoted, "api_key": texts}
    )
    patch.setattr(vendor_api, "history_page", lambda *args: history(*args) | {"note": texts})
    for module in (broken, vendor_api):
        patch.setattr(module, "envelope", with_message)
    patch.setattr(files, "html_page", lambda status=200: Response(quoted, status, media_type="text/html"))


def environ_of(location: CodeLocation, s3_server: S3Service) -> dict[str, str]:
    """Return the variables of a command that works on a code location's data."""
    folder = location.folder
    return {
        **s3_server.environ,
        "DAGSTER_HOME": str(folder / "home"),
        "SEEDANCE_S3_PREFIX": folder.name,
        "SEEDANCE_LEDGER_URL": f"sqlite:///{folder}/ledger.db",
        "SEEDANCE_PROMPTS": str(folder / "prompts"),
        "GOAPI_BASE_URL": location.emulator.url,
        "GOAPI_API_KEY": API_KEY,
    }


@pytest.fixture(scope="module")
def written(s3_server, tmp_path_factory):
    """Everything that the product wrote in a run, a tick and several commands, by its place."""
    folder = tmp_path_factory.mktemp("secrets")
    texts: dict[str, str] = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        running_location(folder, s3_server, PROMPTS, on_disk=True) as location,
        CaptureLogs() as logs,
    ):
        environ = {
            **HELD,
            **environ_of(location, s3_server),
            "SEEDANCE_WEBHOOK_URL": "https://hooks.example.com/seedance",
        }
        for name, value in environ.items():
            patch.setenv(name, value)
        secrets = [API_KEY, s3_server.secret_key, *HELD.values()]
        plant(patch, secrets)
        # The server knows no session, so only the resources' own keys may be sent to it.
        patch.delenv("AWS_SESSION_TOKEN")
        patch.setenv("AWS_SECURITY_TOKEN", HELD["AWS_SESSION_TOKEN"])
        done = location.run("plain", "late")
        assert set(done.missing) == {"rejected", "refused"}
        location.tick()
        (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        for command in COMMANDS:
            texts[" ".join(command)] = CliRunner().invoke(root, command).output
        texts["run failure"] = done.message + str(done.missing)
        texts["run log"] = done.log
        texts["logs"] = logs.text
        texts["Dagster"] = location.stored_by_dagster()
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".yaml":
                texts[str(path.relative_to(folder))] = path.read_bytes().decode("utf-8", "replace")
        for key in location.store.listing(""):
            texts[key] = location.store.get_bytes(key).decode("utf-8", "replace")
        states = {key: location.orders(key)[-1].state for key in PROMPTS}
    return texts, secrets, states


class CaptureLogs(logging.Handler):
    """All log messages of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


@pytest.mark.further
def test_no_secret_stands_in_anything_that_was_written(written):
    """Ledger, logs, events, manifests, run failures and commands hold no secret in any form (x1)."""
    texts, secrets, _ = written
    leaks = [
        (where, form)
        for where, text in texts.items()
        for secret in secrets
        for form in all_forms(secret)
        if form in text
    ]
    assert leaks == []


@pytest.mark.further
def test_everything_else_goes_on_as_without_them(written):
    """The replies are understood, and the vendor's words are shown without the secrets."""
    texts, _, states = written
    assert states == {
        "plain": State.STORED,
        "rejected": State.REJECTED,
        "refused": State.FAILED,
        "odd": State.STORED,
        "late": State.STORED,
    }
    assert "quoting: ***" in texts["trace spots/rejected"]
    assert "quoting: ***" in texts["run failure"]
    assert "quoting: ***" in texts["ledger.db"]
    assert any("quoting: ***" in text for where, text in texts.items() if where.endswith("manifest.json"))


TOKEN = "token-PLANTED-one\nPLANTED-two"
DOWN = {
    "password in the query": {"SEEDANCE_LEDGER_URL": "postgresql://u@127.0.0.1:1/db?password=pw-PLANTED-7"},
    "password": {"SEEDANCE_LEDGER_URL": "postgresql://u:pw-PLANTED-7@127.0.0.1:1/db"},
    "another driver": {"SEEDANCE_LEDGER_URL": "mysql://u:pw-PLANTED-7@127.0.0.1:1/db"},
    "an odd port": {"SEEDANCE_LEDGER_URL": "postgresql://u:pw-PLANTED-7/8@127.0.0.1:x/db"},
    "a token with a line break": {"AWS_SESSION_TOKEN": TOKEN},
    "an endpoint without a scheme": {"AWS_ENDPOINT_URL_S3": "u:pw-PLANTED-7@127.0.0.1:1"},
    "an endpoint with a password": {"AWS_ENDPOINT_URL_S3": "http://u:pw-PLANTED-7@127.0.0.1:1"},
}
SHORT = ("a token with a line break",)
"""Variables whose services cannot be used, each with a secret (x2, x3)."""


@pytest.fixture(scope="module")
def down(s3_server, tmp_path_factory):
    """A code location whose resources come from the environment, and its environment."""
    folder = tmp_path_factory.mktemp("down")
    with (
        pytest.MonkeyPatch.context() as patch,
        running_location(folder, s3_server, {"plain": "a cat"}, on_disk=True) as location,
    ):
        (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        environ = {
            **environ_of(location, s3_server),
            "AWS_MAX_ATTEMPTS": "1",
        }
        for name, value in environ.items():
            patch.setenv(name, value)
        yield location


@pytest.mark.parametrize(
    "trouble", [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long) for name in DOWN]
)
def test_a_service_that_cannot_be_used_shows_no_secret(down, monkeypatch, trouble):
    """No command, run failure or event shows a secret; the message says what to check (x2, x3)."""
    for name, value in DOWN[trouble].items():
        monkeypatch.setenv(name, value)
    texts = {
        command: CliRunner().invoke(root, command).output
        for command in (("status",), ("plan",), ("audit",), ("reconcile",), ("check-storage",))
        if command[0] in COMMAND_NAMES
    }
    resources = {
        "ledger": LedgerResource(url=os.environ["SEEDANCE_LEDGER_URL"]),
        "video_store": VideoStoreResource(bucket="videos", prefix=down.folder.name),
    }
    with down.using(**resources):
        failed = down.run("plain")
        ticked = str(down.tick())
    assert not failed.success
    texts |= {"run": failed.message, "tick": ticked, "Dagster": down.stored_by_dagster()}
    assert [where for where, text in texts.items() if "PLANTED" in text] == []
    assert all(text.strip() for text in texts.values())

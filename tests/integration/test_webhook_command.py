"""The command `webhook` with the vendor's emulator, without its ledger, and with missing settings."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from click.testing import CliRunner
from harness import FAST
from pydantic import SecretStr
from webhook_support import SECRET, running_receiver

from seedance_dagster.api.webhook import Webhook
from seedance_dagster.cli.root import root
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State

pytestmark = pytest.mark.integration


@pytest.mark.further
def test_health_says_when_the_ledger_does_not_answer(tmp_path):
    """While the ledger does not answer, a delivery gets 503, so that it can be sent again."""
    Ledger.open(f"sqlite:///{tmp_path}/ledger.db").close()
    with running_receiver(tmp_path) as receiver:
        assert receiver.get("/health") == 200
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
            database.executescript("DROP TABLE seedance_pauses; DROP TABLE seedance_orders")
        assert receiver.get("/health") == 503
        assert receiver.deliver("t-1") == 503
        assert "Traceback" not in receiver.log()


@pytest.mark.long
def test_a_delivery_of_the_vendor_s_brings_the_video_soon(tmp_path, start_engine):
    """A delivery has the video polled and stored long before the next planned poll."""
    rare = replace(FAST, min_poll_s=1000, max_poll_s=1000)
    with (
        start_engine({"pacing": rare}, speed=1, render_seconds=1.0) as engine,
        running_receiver(tmp_path, "--path-prefix", "/hooks") as receiver,
    ):
        plain = engine.services.open_client
        webhook = Webhook(f"{receiver.url}/hooks?team=a", SecretStr(SECRET))

        def open_client():
            client = plain()
            client._webhook = webhook
            return client

        engine.services = replace(engine.services, open_client=open_client)
        engine.run(engine.place("a cat"))
        assert engine.states() == {"p0": State.STORED}
        engine.assert_paid_once(1)
        [entry] = engine.books()["tasks"]
        assert entry["webhook_statuses"] == [202]


@pytest.mark.parametrize(
    ("environ", "options", "message"),
    [
        ({}, (), "SEEDANCE_WEBHOOK_SECRET and SEEDANCE_WEBHOOK_URL are not set: set both"),
        ({"SEEDANCE_WEBHOOK_SECRET": SECRET}, (), "SEEDANCE_WEBHOOK_URL is not set: set both or neither"),
        (
            {"SEEDANCE_WEBHOOK_SECRET": SECRET, "SEEDANCE_WEBHOOK_URL": "https://x.example"},
            ("--host", "192.0.2.1"),
            "cannot listen on 192.0.2.1 port 8020",
        ),
    ],
)
def test_what_is_missing_is_said_before_anything_listens(tmp_path, monkeypatch, environ, options, message):
    """The message names the variable, or the address that cannot be used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"SEEDANCE_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db", **environ})
    done = CliRunner().invoke(root, ["webhook", *options])
    assert done.exit_code == 1
    assert message in done.output
    assert SECRET not in done.output


@pytest.mark.parametrize("library", ["uvicorn", "starlette"])
def test_without_its_libraries_the_command_says_what_to_install(monkeypatch, library):
    """Without its extra, the command names what to install, and everything else works."""
    monkeypatch.delitem(sys.modules, "seedance_dagster.webhook", raising=False)
    for module in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    done = CliRunner().invoke(root, ["webhook"])
    assert done.exit_code == 1
    assert f"the webhook needs {library}" in done.output
    assert "pip install 'seedance-dagster[webhook]'" in done.output

"""`seedance-dagster gallery`: who is let in where, and the links of events to it."""

from __future__ import annotations

import re

import pytest
import uvicorn
from click.testing import CliRunner
from factories import make_order
from gallery_support import Client, unreached_store

from seedance_dagster.cli.root import root
from seedance_dagster.defs.steps.metadata import video_event
from seedance_dagster.ledger.order import State
from seedance_dagster.ledger.partitions import Link
from seedance_dagster.settings import SettingError, Settings


@pytest.fixture
def start(ledger, ledger_url, tmp_path, monkeypatch):
    """Starts the gallery without serving it; returns what it printed, and what would be served."""
    served: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, **_: served.append(server.config))
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    environ = {"SEEDANCE_LEDGER_URL": ledger_url, "SEEDANCE_S3_BUCKET": "videos", "USER": "ann"}
    monkeypatch.setattr("os.environ", environ | keys)
    monkeypatch.chdir(tmp_path)

    def start(*arguments: str):
        done = CliRunner().invoke(root, ["gallery", "--port", "0", *arguments])
        return done, served.pop().app if served else None

    return start


def test_on_loopback_no_token_is_needed(start):
    """On loopback the gallery needs no token, answers only to its own names, and is read-only."""
    done, app = start()
    assert re.fullmatch(r"gallery ready at http://127.0.0.1:\d+/\n", done.output)
    page = Client(app).get("/")
    assert page.status_code == 200
    assert "Read-only" in page.text
    assert Client(app, "evil.example").get("/").status_code == 403


def test_elsewhere_a_token_is_made_and_printed(start):
    """The printed address lets its reader in, and nobody else."""
    done, app = start("--host", "0.0.0.0", "--review")
    [query] = re.findall(r"gallery ready at http://0.0.0.0:\d+/(\?token=[\w-]{32})\n", done.output)
    client = Client(app, "10.0.0.1")
    assert client.get("/").status_code == 303
    assert client.get(f"/{query}").headers["location"] == "/"
    assert client.get("/").status_code == 200


def test_a_token_of_ones_own_is_not_printed(start, tmp_path):
    """It comes from a file, since other users can read command lines."""
    (tmp_path / "token").write_text("a-token-that-is-long-enough\n")
    done, app = start("--token-file", "token")
    assert "token" not in done.output
    assert Client(app).get("/").status_code == 303
    assert Client(app).get("/?token=a-token-that-is-long-enough").headers["location"] == "/"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--token-file", "none"), "--token-file none: cannot be read: No such file"),
        (("--token-file", "short"), "the token has 5 characters; needed are 16 or more"),
        (("--dagster-url", "dagster:3000"), "allowed is an address such as http://host"),
        (("--host", "256.0.0.1"), "cannot listen on 256.0.0.1 port 0"),
    ],
)
def test_what_cannot_be_used_is_said(start, tmp_path, arguments, words):
    """Options that cannot be used give a message, and nothing is served."""
    (tmp_path / "short").write_text("token")
    done, app = start(*arguments)
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert app is None


def test_each_video_links_to_its_clip():
    """The event of a video has the link where the gallery's address is set."""
    order = make_order(state=State.STORED)
    link = Link("team.spots", "p1", 1)

    def watch(gallery_url: str):
        event = video_event(order, link, unreached_store(), None, {}, gallery_url=gallery_url)
        return event.metadata.get("watch")

    assert watch("https://gallery.example.com").value == (
        "https://gallery.example.com/?set=team.spots&clip=p1"
    )
    assert watch("") is None


def test_the_address_of_the_gallery_is_checked():
    """The gallery's address must be one that a browser opens, without a password."""
    assert (
        Settings.from_environ({"SEEDANCE_GALLERY_URL": "https://g.example/"}).gallery_url
        == "https://g.example"
    )
    for wrong in ("gallery:8030", "https://me:secret@g.example"):
        with pytest.raises(SettingError, match="SEEDANCE_GALLERY_URL: must be an address") as caught:
            Settings.from_environ({"SEEDANCE_GALLERY_URL": wrong})
        assert "secret" not in str(caught.value)

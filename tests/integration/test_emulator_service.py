"""The emulator as a real service: broken connections, two ports, the command, and kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
from click.testing import CliRunner

from seedance_dagster.emulator.command import main
from seedance_dagster.emulator.server import AddressError, running_emulator
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

pytestmark = pytest.mark.integration
KEY = {"X-API-Key": "emulator-key"}
NO_PROXY = {"trust_env": False}


def order(prompt="A cat"):
    return {
        "model": "seedance",
        "task_type": "seedance-2",
        "input": {"prompt": prompt, "mode": "text_to_video", "duration": 4},
    }


@pytest.fixture(scope="module")
def service():
    fast = EmulatorSettings(
        queue_seconds=0, render_seconds=0, plan_limit=1000, hang_seconds=0.2, slow_seconds=0.2
    )
    with running_emulator(fast) as running:
        yield running


@pytest.fixture
def client(service):
    with httpx.Client(base_url=service.url, headers=KEY, timeout=20, **NO_PROXY) as made:
        yield made


def accepted(client, prompt):
    return client.get("/emulator/books").json()["prompts"].get(prompt, {}).get("tasks", 0)


def link(client, prompt):
    task_id = client.post("/api/v1/task", json=order(prompt)).json()["data"]["task_id"]
    return client.get(f"/api/v1/task/{task_id}").json()["data"]["output"]["video"]


@pytest.mark.parametrize(
    ("fault", "made"),
    [("lost-reply", 1), ("cut-reply", 1), ("hang", 1), ("reset-before", 0), ("hang-before", 0)],
)
def test_replies_that_never_come(client, fault, made):
    """The connection ends without a whole reply; only the books show whether a task was created."""
    prompt = f"{fault} [fault:{fault}]"
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/api/v1/task", json=order(prompt))
    assert accepted(client, prompt) == made


@pytest.mark.parametrize("fault", ["get-drop", "get-hang"])
def test_polls_that_never_come_back(client, fault):
    """A GET's connection can end without a reply; the next GET is answered."""
    task_id = client.post("/api/v1/task", json=order(f"[fault:{fault}*1]")).json()["data"]["task_id"]
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(f"/api/v1/task/{task_id}")
    assert client.get(f"/api/v1/task/{task_id}").status_code == 200


def test_hanging_call_ends_when_the_client_leaves(client):
    """A client that gives up on a hanging call leaves the service intact."""
    with pytest.raises(httpx.ReadTimeout):
        client.post("/api/v1/task", json=order("[fault:hang] x"), timeout=0.05)
    assert client.get("/emulator/health").json()["ok"]


def test_files_are_on_another_address(client, service):
    """Output links lead to another port, which needs no key."""
    address = link(client, "plain")
    assert address.startswith(service.files_url + "/ephemeral/")
    assert service.files_url != service.url
    reply = httpx.get(address, **NO_PROXY)
    assert (reply.status_code, reply.headers["Content-Type"], reply.content[4:8]) == (
        200,
        "video/mp4",
        b"ftyp",
    )


def test_body_shorter_than_promised(client):
    """`wrong-length` declares more than it sends."""
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(link(client, "[fault:wrong-length] x"), **NO_PROXY)


def test_slow_download_arrives_whole(client):
    """`slow` takes its time and sends the same file."""
    assert httpx.get(link(client, "[fault:slow] x"), **NO_PROXY).content[4:8] == b"ftyp"


def test_endless_download_never_ends(client):
    """`endless` continues far beyond any video, and stops when the client leaves."""
    got = 0
    with httpx.stream("GET", link(client, "[fault:endless] x"), **NO_PROXY) as reply:
        assert "Content-Length" not in reply.headers
        for chunk in reply.iter_bytes():
            got += len(chunk)
            if got > 2_000_000:
                break
    assert client.get("/emulator/health").json()["ok"]


def test_outages_of_the_connection(client):
    """An outage can close or hang every connection, and can be ended."""
    for kind in ("drop", "hang"):
        client.post("/emulator/outage", json={"seconds": 60, "kind": kind})
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/account/info")
    client.post("/emulator/outage", json={"seconds": 0})
    assert client.get("/account/info").status_code == 200


@pytest.mark.long
async def test_many_at_once(service):
    """Each of two hundred concurrent clients gets a task and a video of its own."""
    async with httpx.AsyncClient(timeout=60, **NO_PROXY) as client:

        async def one(number):
            reply = await client.post(f"{service.url}/api/v1/task", json=order(f"many {number}"), headers=KEY)
            task_id = reply.json()["data"]["task_id"]
            task = await client.get(f"{service.url}/api/v1/task/{task_id}", headers=KEY)
            video = await client.get(task.json()["data"]["output"]["video"])
            return video.content

        videos = await asyncio.gather(*(one(number) for number in range(200)))
    assert len(set(videos)) == 200


def test_a_port_in_use_is_reported():
    """The error names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=str(port)), running_emulator(port=port):
            pass


def start(*arguments):
    command = [sys.executable, "-m", "seedance_dagster.emulator", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip().removeprefix("emulator ready at ")


def end(process, by):
    process.send_signal(by)
    out, error = process.communicate(timeout=20)
    return out + error


@pytest.mark.long
def test_a_killed_emulator_returns_with_its_books(tmp_path):
    """After kill -9 the same command has the same address, tasks and money, and finishes open tasks."""
    arguments = (
        "--state-dir",
        tmp_path,
        "--render-seconds",
        "0.3",
        "--plan-limit",
        "7",
        "--set",
        "queue_seconds=0",
    )
    process, url = start(*arguments)
    with httpx.Client(headers=KEY, **NO_PROXY) as client:
        made = [client.post(f"{url}/api/v1/task", json=order(f"p{n}")).json()["data"] for n in range(5)]
        assert end(process, signal.SIGKILL) == ""
        process, again = start(*arguments)
        assert again == url
        books = client.get(f"{url}/emulator/books").json()
        assert [entry["task_id"] for entry in books["tasks"]] == [task["task_id"] for task in made]
        assert books["summary"]["posts"] == 5
        for _ in range(100):
            task = client.get(f"{url}/api/v1/task/{made[-1]['task_id']}").json()["data"]
            if task["status"] == "completed":
                break
            time.sleep(0.05)
        assert httpx.get(task["output"]["video"], **NO_PROXY).content[4:8] == b"ftyp"
        summary = client.get(f"{url}/emulator/books/summary").json()
        assert summary["balanced"]
        assert summary["points_charged"] == 5 * 4_000_000
    assert end(process, signal.SIGTERM) == ""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_interrupt_ends_it_quietly():
    """Ctrl-C ends the command without output, even while a call hangs."""
    process, url = start()
    with httpx.Client(headers=KEY, **NO_PROXY) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{url}/api/v1/task", json=order("[fault:hang]"), timeout=0.2)
    assert end(process, signal.SIGINT) == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "colour=red"], "colour"),
        (["--set", "jitter"], "NAME=VALUE"),
        (["--set", "jitter=7"], "jitter"),
        (["--render-seconds", "-1"], "render_seconds"),
        (["--port", "1", "--host", "999.1.1.1"], "999.1.1.1"),
        (["--state-dir", "/dev/null/x"], "/dev/null/x"),
    ],
)
def test_invalid_arguments_are_reported(arguments, message):
    """Errors of the command line are one line, without a traceback."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code in {1, 2}
    assert message in done.output
    assert "Traceback" not in done.output

"""A gallery in this process, and Chromium to look at it."""

from __future__ import annotations

import io
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from botocore.exceptions import ClientError
from browser_support import HOSTILE
from factories import Clock, open_ledger
from media_support import FPS, make_clip
from order_factory import OrderFactory
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.types import ASGIApp

from seedance_dagster.ledger.asked import PartitionRequest
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.order import State
from seedance_dagster.media.pictures import cut_poster
from seedance_dagster.review.gallery.app import create_gallery
from seedance_dagster.review.gallery.options import GalleryOptions
from seedance_dagster.storage.s3 import VideoStore

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_WAIT_MS = 10_000


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while chunk := self.read(size):
            yield chunk


class _S3:
    """A read-only S3 client with the same clip and the same poster for all keys."""

    def __init__(self, clip: bytes, poster: bytes) -> None:
        self._content = {"mp4": clip, "jpg": poster}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803  boto3's names
        content = self._content.get(Key.rpartition(".")[2])
        if content is None:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        first, _, last = Range.removeprefix("bytes=").partition("-")
        start, end = int(first or 0), min(int(last or len(content)), len(content) - 1)
        reply: dict[str, Any] = {"Body": _Body(content[start : end + 1]), "ContentLength": end + 1 - start}
        return reply | ({"ContentRange": f"bytes {start}-{end}/{len(content)}"} if Range else {})


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.exit("no Chromium is installed; on Debian run: apt-get install chromium", returncode=1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> _S3:
    clip = tmp_path_factory.mktemp("media") / "clip.mp4"
    clip.write_bytes(make_clip(frames=3 * FPS, size=(320, 180)))
    return _S3(clip.read_bytes(), cut_poster(clip))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, Clock()) as opened:
        yield opened


@pytest.fixture
def shown(ledger: Ledger) -> Ledger:
    """A ledger with three takes of a prompt, a hostile one, and one without a video."""
    orders = OrderFactory(ledger, Clock())
    asked = {"harbour": PartitionRequest("f-harbour", tags={"campaign": "summer"})}
    ledger.partitions.update("spots", asked)
    orders.make(State.REJECTED, "logo", reason="copyright")
    orders.make(State.STORED, "harbour")
    orders.make(
        State.STORED,
        "hostile",
        request={"prompt": HOSTILE, "task_type": "seedance-2", "mode": "x", "duration": 4},
    )
    orders.make(State.STORED, "cat", fingerprint="f-cat")
    for take in (2, 3):
        orders.make(State.STORED, f"cat.t{take}", fingerprint="f-cat", take=take)
    return ledger


@pytest.fixture
def serve(shown: Ledger, media: _S3) -> Iterator[Callable[..., str]]:
    """Serves a gallery in which verdicts can be given, and returns its address."""
    store = VideoStore(media, "videos", "seedance")  # type: ignore[arg-type]
    with ExitStack() as running:

        def serve(**options: Any) -> str:
            usual = {"review": True, "reviewer": "ann", "stream": True}
            app = create_gallery(shown, store, GalleryOptions(**usual | options))
            return running.enter_context(_served(app))

        yield serve


@contextmanager
def _served(app: ASGIApp) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    """The address of a gallery that answers to its own name only."""
    return serve(hosts=("127.0.0.1",))


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The first page, without an error in its console."""
    problems: list[str] = []
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(_WAIT_MS)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("#counts b")
    yield page
    page.close()
    assert problems == []

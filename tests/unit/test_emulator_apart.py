"""The emulator's independence from the rest of the package, and its reaction to any input."""

from __future__ import annotations

import ast
from pathlib import Path

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_dagster import emulator
from seedance_dagster.emulator.app import create_app
from seedance_dagster.emulator.vendor_settings import EmulatorSettings

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
URLS = st.lists(
    st.sampled_from(["https://x.example/a.png", "https://x.example/a.mp4?seconds=9", "http://[", "x"])
)
INPUT = st.fixed_dictionaries(
    {},
    optional={
        "prompt": ATOMS
        | st.sampled_from(["A cat", "@image2", "【@图片1】", "[fault:moderation]", "[fault:x]"]),
        "mode": ATOMS | st.sampled_from(["text_to_video", "first_last_frames", "omni_reference"]),
        "duration": ATOMS,
        "aspect_ratio": ATOMS | st.lists(ATOMS, max_size=1),
        "image_urls": ATOMS | URLS,
        "video_urls": ATOMS | URLS,
        "audio_urls": ATOMS | URLS,
    },
)
BODY = st.fixed_dictionaries(
    {"model": st.just("seedance") | ATOMS},
    optional={
        "task_type": st.sampled_from(["seedance-2", "x"]) | ATOMS,
        "input": INPUT | ATOMS,
        "config": ATOMS,
    },
)


def test_imports_nothing_of_the_rest():
    """The emulator imports only itself, so that it shares no wrong belief with the client."""
    for path in Path(emulator.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not getattr(node, "level", 0), f"{path.name}: relative import"
            for name in names:
                ours = name.split(".")[0] == "seedance_dagster"
                assert not ours or name.startswith("seedance_dagster.emulator"), f"{path.name} imports {name}"


@settings(max_examples=150, deadline=None)
@given(body=BODY | ATOMS)
async def test_any_body_gets_an_envelope(body):
    """Any posted JSON is answered with a task, or with a refusal that creates none."""
    app = create_app(EmulatorSettings())
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://t", headers={"X-API-Key": "emulator-key"}
    ) as c:
        reply = await c.post("/api/v1/task", json=body)
        made = (await c.get("/emulator/books/summary")).json()["tasks"]
    app.state.emulator.close()
    assert (reply.status_code, made) in {(200, 1), (400, 0)}
    assert set(reply.json()) == {"code", "data", "message"}

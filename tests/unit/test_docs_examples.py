"""Examples in the documentation run."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import numpy as np
from scores_support import make_film

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, number: int = 0) -> dict[str, object]:
    """Run the Python example of a page, and return its names."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(blocks[number], page, "exec"), names)
    return names


def test_the_alert_names_the_check_that_failed(capfd):
    """The sensor of docs/questions.md sees failed checks of a run, and only those."""
    sensor = example("questions.md")["failed_checks"]

    @dg.asset
    def videos() -> None: ...

    @dg.asset_check(asset=videos)
    def have_posters() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False)

    @dg.asset_check(asset=videos)
    def are_playable() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    assert isinstance(sensor, dg.SensorDefinition)
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([videos, have_posters, are_playable], instance=instance)
        context = dg.build_run_status_sensor_context(
            sensor_name="failed_checks",
            dagster_event=run.all_events[-1],
            dagster_instance=instance,
            dagster_run=run.dagster_run,
        )
        sensor(context)
    warnings = [line for line in capfd.readouterr().err.splitlines() if " WARNING " in line]
    assert [line.rpartition(" - ")[2] for line in warnings] == ["videos: have_posters failed"]


class ShownVideo:
    """A video of one gray."""

    prompt = "a wall"

    def read_bytes(self) -> bytes:
        return make_film([np.full((64, 64), 120)] * 3)

    def first_frame(self) -> None: ...


def test_the_text_model_of_the_example_has_the_interface_of_a_score(monkeypatch):
    """The class of docs/scores.md works with modules that have the interface of torch and OpenCLIP."""
    model = SimpleNamespace(
        encode_text=lambda tokens: [[len(tokens), 0]],
        encode_image=lambda batch: [[1, 0] for _ in batch],
    )
    model.eval = lambda: model
    open_clip = SimpleNamespace(
        create_model_and_transforms=lambda name, pretrained: (model, None, np.asarray),
        get_tokenizer=lambda name: lambda texts: texts,
    )
    torch = SimpleNamespace(inference_mode=contextlib.nullcontext, stack=np.stack)
    monkeypatch.setitem(sys.modules, "open_clip", open_clip)
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert example("scores.md", 2)["text_match"].measure(ShownVideo()) == {"text_match": 1}


def test_the_caption_model_of_the_example_has_the_interface_of_a_score(monkeypatch):
    """The function of docs/scores.md works with a module that has the interface of Transformers."""

    class Processor:
        def __call__(self, picture, return_tensors):
            return {"pixel_values": picture.size}

        def decode(self, tokens, skip_special_tokens):
            return f"{tokens} pixels"

    def loader(made):
        return SimpleNamespace(from_pretrained=lambda name: made)

    model = SimpleNamespace(generate=lambda pixel_values, max_new_tokens: [pixel_values[0]])
    transformers = SimpleNamespace(
        BlipProcessor=loader(Processor()), BlipForConditionalGeneration=loader(model)
    )
    monkeypatch.setitem(sys.modules, "transformers", transformers)
    assert example("scores.md", 3)["captions"].measure(ShownVideo()) == {"caption": "64 pixels"}


def test_the_score_of_the_example_weighs_a_video(tmp_path):
    """The team's own score of docs/scores.md runs, and the near-duplicates are as the page says."""
    path = tmp_path / "video.mp4"
    path.write_bytes(bytes(2_000_000))
    video = SimpleNamespace(local=lambda: contextlib.nullcontext(path))
    assert example("scores.md", 1)["megabytes"].measure(video) == {"megabytes": 2}
    names = example("scores.md", 0)
    assert names["near_duplicates"]({"cat": "f0f0", "dog": "0f0f", "cat.t2": "f0f1"}) == {"cat.t2": "cat"}
    assert names["distance"]("f0f0", "f0f1") == 0.0625

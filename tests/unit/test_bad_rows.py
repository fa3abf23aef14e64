"""Files with errors: one bad row keeps out its prompt, and a set whose file is broken keeps its assets."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from seedance_dagster import SeedanceResource, VideoStoreResource, build_seedance_definitions
from seedance_dagster.defs.prompt_source import PromptSource
from seedance_dagster.prompts import PromptSetError, load_prompt_sets

CSV = "id,prompt,duration\ncat,A cat,5\ndog,A dog,3\nfox,A fox,7\n"
JSONL = '{"id": "cat", "prompt": "A cat"}\n{"id": "dog", "prompt": \n{"id": "fox", "prompt": "A fox"}\n'
YAML = "name: spots\nprompts:\n- {id: cat, prompt: A cat}\n- {id: dog, prompt: A dog, duration: 3}\n"
NAMED = "name: named\nsource: spots.csv\non_bad_rows: refuse\n"


def ids(folder: Path) -> list[str]:
    return [prompt.id for prompt_set in load_prompt_sets(folder).sets for prompt in prompt_set.prompts]


@pytest.mark.parametrize(("name", "text"), [("spots.csv", CSV), ("spots.jsonl", JSONL)])
def test_a_bad_row_of_a_table_keeps_out_its_own_prompt(tmp_path, name, text):
    """A bad row of a table is an error, and the valid rows are used (d17)."""
    (tmp_path / name).write_text(text)
    assert ids(tmp_path) == ["cat", "fox"]
    [error] = load_prompt_sets(tmp_path).errors
    assert str(error).startswith(f"{tmp_path}/{name}, line {3 if name.endswith('csv') else 2}")


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"spots.yaml": YAML}, []),
        ({"spots.yaml": f"on_bad_rows: skip\n{YAML}"}, ["cat"]),
        ({"spots.csv": CSV, "named.yaml": NAMED}, []),
        ({"spots.csv": CSV, "named.yaml": NAMED.replace("refuse", "skip")}, ["cat", "fox"]),
        ({"spots.csv": CSV.replace("duration", "Duration")}, []),
        ({"spots.csv": "id,prompt\ncat,A cat\ncat,A dog\nfox,A fox\n"}, ["fox"]),
        ({"spots.csv": "prompt,duration\nA cat,3\n"}, []),
    ],
)
def test_a_set_says_what_a_bad_row_does(tmp_path, files, left):
    """Tables skip it and documents refuse it unless the set says otherwise; a bad column concerns all."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert ids(tmp_path) == left
    assert load_prompt_sets(tmp_path).errors


def test_ids_do_not_depend_on_bad_rows(tmp_path):
    """A repeated text has the number that it would have without the error."""
    path = tmp_path / "spots.csv"
    path.write_text("prompt,duration\nA cat,5\nA cat,6\nA cat,7\n")
    sound = ids(tmp_path)
    path.write_text("prompt,duration\nA cat,5\nA cat,3\nA cat,7\n")
    assert ids(tmp_path) == [sound[0], sound[2]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("spots.yaml", f"{YAML}- [\n", " is not valid YAML: did not find expected node content"),
        ("x.json", '{"name": "spots", "prompts": [', " is not valid JSON: Expecting value (line 1"),
        ("spots.csv", CSV.replace("prompt", "Prompt"), " needs a column named prompt; its columns are"),
        ("spots.csv", CSV.encode("utf-16"), ' is UTF-16 text (Excel\'s "Unicode text"), not UTF-8'),
        ("spots.parquet", "nonsense", " is not valid Parquet"),
    ],
)
def test_a_set_whose_file_is_broken_is_known_by_its_name(tmp_path, name, text, message):
    """A set with a broken file is known by its name, and reports only its own file's problems (d18)."""
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "other.yaml").write_text("{name: other, prompts: [{prompt: x, duration: 3}]}")
    assert load_prompt_sets(tmp_path).names == ("other", "spots")
    with pytest.raises(PromptSetError) as caught:
        PromptSource(tmp_path).load_set("spots")
    assert str(caught.value).startswith(f"{tmp_path}/{name}{message}")
    assert "other.yaml" not in str(caught.value)


def test_a_run_of_a_set_whose_file_is_broken_fails_in_words(tmp_path):
    """The set keeps its assets, and a run fails with file, row and field (d18)."""
    (tmp_path / "spots.yaml").write_text(YAML)
    (tmp_path / "sound.yaml").write_text("{name: sound, prompts: [{prompt: x}]}")
    defs = build_seedance_definitions(tmp_path, seedance=SeedanceResource(), video_store=VideoStoreResource())
    keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    assert {"spots/prompts", "spots/tasks", "spots/videos", "spots/index", "sound/videos"} <= keys
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("spots_prompts", ["dog"])
        done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            partition_key="dog",
            asset_selection=[dg.AssetKey(["spots", asset]) for asset in ("prompts", "tasks", "videos")],
            raise_on_error=False,
        )
    [failed] = [event for event in done.all_events if event.is_step_failure]
    assert failed.step_failure_data.user_failure_data.description == (
        f"nothing was ordered:\n{tmp_path}/spots.yaml, prompt 2 (dog): duration is 3; "
        "allowed are whole seconds from 4 to 15"
    )


def test_why_a_row_has_no_prompt(tmp_path):
    """A run that was launched with a bad row names its problem for each of its takes."""
    (tmp_path / "spots.csv").write_text(CSV)
    [prompt_set] = load_prompt_sets(tmp_path).sets
    reason = f"{tmp_path}/spots.csv, line 3 (dog): duration is 3; allowed are whole seconds from 4 to 15"
    assert prompt_set.why_missing("dog") == prompt_set.why_missing("dog.t2") == reason
    assert prompt_set.why_missing("cow") == "there is no such prompt in its file"


@pytest.mark.parametrize(
    "row",
    ['{"id": "dog", "prompt": ', '{"id": "dog!", "prompt": "A dog"}', '{"id": 1.5, "prompt": "A dog"}'],
)
def test_a_row_without_a_known_id_may_be_that_of_any_prompt(tmp_path, row):
    """No prompt counts as removed meanwhile, and a run that misses one names the row."""
    path = tmp_path / "spots.jsonl"
    path.write_text(f'{{"id": "cat", "prompt": "A cat"}}\n{row}\n')
    [prompt_set] = load_prompt_sets(tmp_path).sets
    assert prompt_set.has_prompt("dog")
    reason = prompt_set.why_missing("dog")
    assert reason.startswith(
        "there is no such prompt in its file, unless it is in a row without a known id, such as this one: "
    )
    assert f"{path}, line 2" in reason
    path.write_text('{"id": "cat", "prompt": "A cat"}\n')
    [prompt_set] = load_prompt_sets(tmp_path).sets
    assert not prompt_set.has_prompt("dog")

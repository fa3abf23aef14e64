"""The `plan` command on a set with drafts, and on one that varies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from seedance_dagster.cli.root import root


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


def test_plan_shows_what_drafts_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a draft is accepted, all that is not spent on finals is saved."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path)})
    (tmp_path / "prompt_sets").mkdir()
    (tmp_path / "prompt_sets" / "cats.yaml").write_text(
        "name: cats\ndefaults: {task_type: seedance-2}\ndraft: {resolution: 480p}\n"
        "final: {resolution: 1080p}\nprompts: [{prompt: a cat, takes: 2}, {prompt: a dog}]\n"
    )
    [cats] = json.loads(run("plan", "--json", "cats").stdout)["prompt_sets"]
    drafts = cats["drafts"]
    assert (drafts["drafts"], drafts["accepted"], float(drafts["finals_usd"])) == (3, 0, 0)
    all_drafts, everything = float(drafts["drafts_usd"]), float(drafts["all_in_final_usd"])
    assert 0 < all_drafts < everything
    assert float(drafts["saved_usd"]) == pytest.approx(everything - all_drafts)
    shown = " ".join(run("plan", "cats").stdout.split())
    assert "3 drafts: " in shown
    assert f"so drafts save {everything - all_drafts:.2f} USD" in shown


def test_an_upper_bound_of_a_variant_is_shown_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run measures input videos; until then the longest that are allowed count."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path)})
    (tmp_path / "cats.yaml").write_text(
        "name: cats\ndefaults: {task_type: seedance-2}\nmatrix: {duration: [4, 10]}\nprompts:\n"
        "  - {prompt: a cat like @video1, mode: omni_reference, video_urls: [https://cdn.example.com/a.mp4]}\n"
    )
    shown = [line.split() for line in run("plan", "--prompts", "cats.yaml").stdout.splitlines()]
    [ten] = [words for words in shown if words[:2] == ["duration", "10"]]
    assert ten[2:5] == ["1", "up", "to"]


def test_an_unknown_set_is_named_beside_files_with_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelled name is not hidden by the problems of other files, unless one of these may have it."""
    monkeypatch.setattr("os.environ", {"DAGSTER_HOME": str(tmp_path / "home")})
    (tmp_path / "home").mkdir()
    (tmp_path / "cats.csv").write_text("prompt\na cat\n#REF!\n")
    done = run("plan", "--prompts", str(tmp_path), "catz")
    assert (done.exit_code, "there is no prompt set catz; known sets: cats" in done.output) == (1, True)
    (tmp_path / "odd.yaml").write_text("{")
    done = run("plan", "--prompts", str(tmp_path), "catz")
    assert (done.exit_code, "odd.yaml is not valid YAML" in done.output) == (1, True)

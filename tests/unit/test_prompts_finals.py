"""Sets with drafts and finals: two requests of one shot, and the errors of such files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prompts_support import load

from seedance_dagster.api.wire import GenerationRequest
from seedance_dagster.defs.from_asset import PromptsFromAsset
from seedance_dagster.prompts.asset_rows import set_document, table_of_value
from seedance_dagster.prompts.finals import MAY_DIFFER
from seedance_dagster.prompts.formats.tables import Columns
from seedance_dagster.prompts.models import PromptSet

SPOTS = """
name: spots
defaults: {task_type: seedance-2, duration: 4}
draft: {task_type: seedance-2-fast, resolution: 480p}
final: {resolution: 1080p}
prompts:
  - {id: cat, prompt: A cat, takes: 2, tags: {campaign: spring}}
  - {id: dog, prompt: A dog, fresh: true}
"""


def only_set(folder: Path, text: str) -> PromptSet:
    """Return the set of a YAML file without errors."""
    loaded = load(folder, "set.yaml", text)
    assert [str(problem) for problem in loaded.problems] == []
    [prompt_set] = loaded.sets
    return prompt_set


def problems_of(folder: Path, text: str) -> str:
    """Return all problems of a YAML file, one in a line."""
    return "\n".join(map(str, load(folder, "set.yaml", text).problems))


def test_drafts_are_asked_for_first(tmp_path):
    """Until a draft is accepted, the set asks for the drafts alone."""
    prompt_set = only_set(tmp_path, SPOTS)
    assert list(prompt_set.partitions) == ["cat", "cat.t2", "dog"]
    cat = prompt_set.partitions["cat"]
    assert (cat.request.task_type, cat.request.resolution, cat.is_draft) == ("seedance-2-fast", "480p", True)


def test_an_accepted_draft_has_a_final(tmp_path):
    """An accepted draft is followed by its final, of the same shot, take, scope and tags."""
    prompt_set = only_set(tmp_path, SPOTS).with_accepted({"cat.t2", "dog", "gone"})
    assert list(prompt_set.partitions) == ["cat", "cat.t2", "cat.t2.final", "dog", "dog.final"]
    final, draft = prompt_set.partitions["cat.t2.final"], prompt_set.partitions["cat.t2"]
    assert (final.request.task_type, final.request.resolution) == ("seedance-2", "1080p")
    assert final.draft == draft
    assert (final.take, final.tags, final.is_draft) == (2, {"campaign": "spring"}, False)
    assert (
        final.request.model_copy(update={"task_type": "seedance-2-fast", "resolution": "480p"})
        == draft.request
    )
    assert final.fingerprint != draft.fingerprint
    assert prompt_set.partitions["dog.final"].scope == "spots/dog"


def test_all_finals_are_known(tmp_path):
    """A final whose draft is not accepted still has its prompt."""
    prompt_set = only_set(tmp_path, SPOTS)
    assert list(prompt_set.all_partitions) == [
        *("cat", "cat.final", "cat.t2", "cat.t2.final"),
        *("dog", "dog.final"),
    ]
    assert prompt_set.has_prompt("cat.final")
    assert not prompt_set.has_prompt("bird.final")
    assert [draft.key for draft in prompt_set.drafts] == ["cat", "cat.t2", "dog"]


def test_a_prompt_may_set_what_one_of_them_leaves_open(tmp_path):
    """The task type of the final is the prompt's own where only the draft has another one."""
    text = SPOTS.replace("{id: cat,", "{id: cat, task_type: seedance-2.5,")
    cat = only_set(tmp_path, text).all_partitions["cat.final"]
    assert cat.request.task_type == "seedance-2.5"


def test_drafts_of_variants(tmp_path):
    """Each combination of a matrix is a draft with a final of its own."""
    text = """
name: mugs
matrix: {style: [noir, oil]}
template: A {thing}, {style}
draft: {resolution: 480p}
final: {resolution: 720p}
prompts: [{id: mug, tags: {thing: mug}}]
"""
    prompt_set = only_set(tmp_path, text).with_accepted({"mug-oil"})
    assert list(prompt_set.partitions) == ["mug-noir", "mug-oil", "mug-oil.final"]
    assert prompt_set.partitions["mug-oil.final"].variant == {"style": "oil"}


def test_drafts_of_prompts_from_an_asset(tmp_path):
    """The document that is made of an asset's rows has what the set says of them."""
    written = PromptsFromAsset(
        name="spots",
        asset="written",
        draft={"resolution": "480p"},
        final={"resolution": "720p"},
        rights="by a model",
        reference_rights={"https://x.example/a.png": "by Ann"},
    )
    rows = [
        {"id": "cat", "prompt": "A cat"},
        {
            "id": "both",
            "prompt": "@image1",
            "mode": "omni_reference",
            "image_urls": ["https://x.example/a.png"],
        },
    ]
    table = table_of_value(rows, "asset written")
    document = set_document("spots", table, Columns(), written.settings, "asset written")
    [prompt_set] = load(tmp_path, "set.json", json.dumps(document)).sets
    assert list(prompt_set.all_partitions) == ["cat", "cat.final", "both", "both.final"]
    assert prompt_set.all_partitions["both.final"].rights == {
        "prompt": {"text": "by a model"},
        "image1": {"text": "by Ann"},
    }


def test_drafts_of_a_table(tmp_path):
    """The rows of a table that a set names are drafts as well."""
    (tmp_path / "shots.csv").write_text("id,prompt\ncat,A cat\n")
    text = "name: spots\nsource: shots.csv\ndraft: {resolution: 480p}\nfinal: {resolution: 720p}\n"
    assert list(only_set(tmp_path, text).all_partitions) == ["cat", "cat.final"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("final: {resolution: 1080p}\n", "", "draft needs final as well, such as draft: {resolution"),
        ("draft: {task_type: seedance-2-fast, resolution: 480p}\n", "", "final needs draft as well"),
        ("final: {resolution: 1080p}", "final: 1080p", "final is '1080p'; it must be a mapping"),
        (
            "final: {resolution: 1080p}",
            "final: {duration: 9}",
            "final.duration cannot differ between a draft",
        ),
        ("final: {resolution: 1080p}", "final: {prompt: A}", "final.prompt cannot differ between a draft"),
        ("final: {resolution: 1080p}", "final: {resolution: 8k}", "final.resolution is '8k'; allowed are"),
        ("draft: {task_type: seedance-2-fast,", "draft: {task_type: fast,", "draft.task_type is 'fast'"),
        (
            "{id: cat,",
            "{id: cat, resolution: 720p,",
            "resolution has no effect, since both draft and final set it",
        ),
        (
            "duration: 4}",
            "resolution: 720p}",
            "defaults.resolution has no effect, since both draft and final set it",
        ),
        ("{id: cat,", "{id: cat, duration: 99,", "duration is 99"),
        (
            "draft: {task_type: seedance-2-fast, resolution: 480p}",
            "draft: {resolution: 1080p}",
            "final is the same request as its draft",
        ),
        ("{id: cat,", "{id: cat.final,", "id is 'cat.final'; allowed are"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, old, new, expected):
    """Each mistake is named with its field, and what is allowed; the set is not used."""
    assert old in SPOTS
    loaded = load(tmp_path, "set.yaml", SPOTS.replace(old, new))
    assert loaded.sets == ()
    assert expected in "\n".join(map(str, loaded.errors))


def test_a_problem_of_both_is_said_once(tmp_path):
    """A problem of both draft and final is reported once."""
    problems = problems_of(tmp_path, SPOTS.replace("{id: cat,", "{id: cat, duration: 99,"))
    assert problems.count("duration") == 1


def test_a_matrix_may_not_vary_what_both_set(tmp_path):
    """Values of a matrix that draft and final replace would be paid for several times."""
    text = SPOTS.replace("prompts:", "matrix: {resolution: [480p, 720p]}\nprompts:")
    assert "resolution has no effect, since both draft and final set it" in problems_of(tmp_path, text)


def test_the_fields_that_may_differ_are_fields_of_a_request():
    """The rule names nothing that the vendor does not know."""
    assert set(MAY_DIFFER) <= set(GenerationRequest.model_fields)

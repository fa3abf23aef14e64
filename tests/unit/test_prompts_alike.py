"""Prompts that differ in their texts alone: the rest is checked once for all of them."""

from __future__ import annotations

import json

from prompts_support import load


def test_what_is_checked_once_for_many_prompts_is_checked_for_each(tmp_path):
    """Prompts that differ in their text alone share a check; other values, types and mentions do not."""
    rows = (
        {"prompt": "a valid one", "audio": True},
        {"prompt": "another valid one", "audio": True},
        {"prompt": "a number", "audio": 1},
        {"prompt": "no length", "audio": True, "duration": 3},
        {"prompt": "@image1 walks", "audio": True},
        {"prompt": "\uff20image1 walks", "audio": True},
        {"prompt": "x" * 4001, "audio": True},
        {"prompt": "half a \ud800 character", "audio": True},
        {"prompt": " cafe\u0301\r\nat dawn ", "audio": True},
    )
    loaded = load(tmp_path, "rows.jsonl", "\n".join(map(json.dumps, rows)))
    assert [(problem.prompt, problem.field) for problem in loaded.problems] == [
        (f"line {number}", field) for number, field in enumerate(("audio", "duration", *["prompt"] * 4), 3)
    ]
    [prompt_set] = loaded.sets
    first, second, last = (prompt.request for prompt in prompt_set.prompts)
    assert second == first.model_copy(update={"prompt": "another valid one"})
    assert last.prompt == "caf\xe9\nat dawn"

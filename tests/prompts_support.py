"""Prompt files written and loaded in one step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seedance_dagster.prompts import LoadedPromptSets, Prompt, load_prompt_sets

PNG, MP4, MP3 = "https://x.example/a.png", "https://x.example/a.mp4", "https://x.example/a.mp3"


def load(folder: Path, name: str, content: str | bytes, **options: Any) -> LoadedPromptSets:
    """Load a file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_prompt_sets(path, **options)


def load_prompts(folder: Path, *prompts: dict[str, Any], **options: Any) -> LoadedPromptSets:
    """Load a set of these prompts from a JSON file."""
    return load(folder, "spots.json", json.dumps({"name": "spots", "prompts": prompts}), **options)


def only_prompt(loaded: LoadedPromptSets) -> Prompt:
    """Return the only prompt of a location without errors."""
    assert [str(problem) for problem in loaded.errors] == []
    [prompt_set] = loaded.sets
    [prompt] = prompt_set.prompts
    return prompt


def problems_of(loaded: LoadedPromptSets) -> list[tuple[str | None, str | None, str]]:
    """Return all problems as (prompt, field, message)."""
    return [(problem.prompt, problem.field, problem.message) for problem in loaded.problems]

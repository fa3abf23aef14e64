"""The dataset card: a README.md with a header for the Hugging Face Hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import yaml

from seedance_dagster.datasets.export.artifacts import Layout
from seedance_dagster.datasets.export.clips import COLUMNS, Clip
from seedance_dagster.datasets.export.figures import Figures
from seedance_dagster.datasets.export.rights import cell, rights_section
from seedance_dagster.money import usd_text
from seedance_dagster.storage.index import Column

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_MORE = "n>1M"


def dataset_card(
    prompt_set: str,
    version: str,
    splits: Mapping[str, Sequence[Clip]],
    figures: Figures,
    layout: Layout,
    *,
    license_id: str,
) -> bytes:
    """Return the card of a dataset.

    Args:
        prompt_set: The set that it is made from.
        version: The hash of its content.
        splits: The clips of each split.
        figures: Those of the set.
        layout: Its files.
        license_id: The licence, as the Hub spells it.
    """
    clips = [clip for members in splits.values() for clip in members]
    rows = [*splits.items(), *([("all", clips)] if len(splits) > 1 else [])]
    models = Counter(str(clip.row["task_type"]) for clip in clips)
    text = f"""\
---
{_header(prompt_set, clips, layout, license_id)}---

# {prompt_set}

Generated videos of the prompt set `{prompt_set}`, each of them accepted in review. Version `{version}`.

## Splits

A hash of the prompt's text decides, so takes of a prompt are in the same split.

| split | clips | seconds | MB |
|---|---:|---:|---:|
{"".join(_split_row(name, members) for name, members in rows)}
## Models

| model | clips |
|---|---:|
{"".join(f"| {cell(model)} | {count} |{chr(10)}" for model, count in sorted(models.items()))}
{rights_section(clips)}## Cost and choice

| | |
|---|---:|
{"".join(f"| {name} | {value} |{chr(10)}" for name, value in _choice(figures))}
## Loading

{layout.loading}

## Columns

| column | type | meaning |
|---|---|---|
{"".join(map(_column_row, (*layout.own_columns, *COLUMNS)))}"""
    return text.encode()


def _header(prompt_set: str, clips: Sequence[Clip], layout: Layout, license_id: str) -> str:
    files = [{"split": split, "path": path} for split, path in layout.data_files.items()]
    header: dict[str, object] = {
        "pretty_name": prompt_set,
        "license": license_id,
        "task_categories": ["text-to-video"],
        "tags": ["video", "synthetic", "seedance"],
        "size_categories": [next((name for limit, name in _SIZES if len(clips) < limit), _MORE)],
    }
    if files:
        header["configs"] = [{"config_name": "default", "data_files": files}]
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _split_row(name: str, clips: Sequence[Clip]) -> str:
    seconds = sum(clip.row["duration_s"] or 0 for clip in clips)
    return f"| {name} | {len(clips)} | {seconds:.1f} | {sum(clip.size_bytes for clip in clips) / 1e6:.1f} |\n"


def _column_row(column: Column) -> str:
    return f"| `{column.name}` | {column.type} | {column.description} |\n"


def _choice(figures: Figures) -> list[tuple[str, str]]:
    per_clip = figures.points_per_accepted
    return [
        ("Charged for the prompt set, everything included", usd_text(figures.points)),
        ("Cost per accepted clip", "" if per_clip is None else usd_text(per_clip)),
        ("Videos accepted", _share(figures.accepted, figures.videos, figures.yield_share)),
        ("Videos discarded", _share(figures.discarded, figures.videos, figures.discarded_share)),
        ("Orders rejected by moderation", _share(figures.rejected, figures.finished, figures.rejected_share)),
    ]


def _share(part: int, whole: int, share: float | None) -> str:
    return f"{part} of {whole}" + ("" if share is None else f" ({share:.0%})")

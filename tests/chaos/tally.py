"""The summary of rounds as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chaos.round import Result


def line(result: Result) -> str:
    """Return one round in one line, with its violations below."""
    text = (
        f"{'ok  ' if not result.violations else 'FAIL'} seed {result.seed:<6} {result.seconds:5.1f} s  "
        f"{result.about}: {result.tally['stored']} stored, {result.kills.total()} kills, "
        f"{result.faults.total()} faults, {result.tally['adopted']} adopted, "
        f"{result.tally['requeued']} requeued"
    )
    if not result.violations:
        return text
    more = {"disturbed": result.disturbed, "faults": result.faults, "killed": result.kills}
    context = [f"{name}: {_counts(counter)}" for name, counter in more.items()]
    return "\n     ".join([text, *result.violations, *context])


def summary(results: Sequence[Result]) -> str:
    """Return the summary of all rounds."""
    kills, faults, disturbed, tally = (
        sum((getattr(result, name) for result in results), Counter())
        for name in ("kills", "faults", "disturbed", "tally")
    )
    failed = [result.seed for result in results if result.violations]
    return "\n".join(
        (
            f"rounds: {len(results)}, passed: {len(results) - len(failed)}, failed: {len(failed)}",
            f"counted: {_counts(tally)}",
            f"disturbances: {_counts(disturbed)}",
            f"faults fired: {_counts(faults)}",
            f"kills by boundary ({kills.total()}): {_counts(kills)}",
            *([f"failed seeds: {', '.join(map(str, failed))}"] if failed else []),
        )
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()) if count) or "none"

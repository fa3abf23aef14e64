"""Environment variables that have no effect, because their names are misspelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from seedance_dagster.settings import Settings

_PREFIXES = ("SEEDANCE", "GOAPI")
_OTHER_NAMES = ("SEEDANCE_DEV_FOLDER",)  # set by `dev` for the terminals beside it
_LIMITS = {"BUDGET", "USD", "COST", "SPEND", "LIMIT"}
_KEYS = {"KEY", "TOKEN", "API_TOKEN"}
_CLOSE = 0.8  # by difflib's measure, up to 1: one letter of five, or one word of four, may differ


def misspelled(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable whose name resembles one of ours; values are not shown.

    Example:
        >>> misspelled({"seedance_prompts": "launch.yaml", "seedance_team": "film"})
        ['seedance_prompts is not a setting and has no effect; SEEDANCE_PROMPTS is one']
    """
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}.union(_OTHER_NAMES)
    return [
        f"{name} is not a setting and has no effect; {meant} is one"
        for name in sorted(name for name, value in environ.items() if value.strip() and name not in known)
        if (meant := _meant(name.upper(), known)) is not None
    ]


def _meant(name: str, known: Iterable[str]) -> str | None:
    """Return the variable that a name resembles; the words after the prefix count most."""
    prefix, _, rest = name.partition("_")
    if not get_close_matches(prefix, _PREFIXES, n=1, cutoff=_CLOSE):
        return None
    by_rest = {variable.partition("_")[2]: variable for variable in known}
    close = next(iter(get_close_matches(rest, by_rest, n=1, cutoff=_CLOSE)), None)
    if close is not None:
        return by_rest[close]
    if prefix in _PREFIXES and rest in _KEYS:
        return "GOAPI_API_KEY"
    is_limit = prefix in _PREFIXES and not _LIMITS.isdisjoint(rest.split("_"))
    return "SEEDANCE_BUDGET_USD_PER_DAY" if is_limit else None  # a limit without effect costs most

"""A task's echo of its request: the small changes that the vendor makes to a text, and whose task it is.

The vendor may trim a text, escape it as HTML or change its quotation marks. No such change is assumed: each
is believed only after a known task of the account has shown it.
"""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections.abc import Callable, Collection, Mapping

from seedance_dagster.api.values import whole_number
from seedance_dagster.api.wire import RemovalRequest, Task, TaskRequest
from seedance_dagster.net.secrets import without_secrets

_LONGEST = 50_000  # characters: a text of 4,000 in which each is escaped twice is shorter
_STRAIGHT = str.maketrans({**dict.fromkeys("‘’‚‛′", "'"), **dict.fromkeys("“”„‟″«»", '"')})  # noqa: RUF001  that is the point


def _unescape(text: str) -> str:
    """Undo HTML escapes; a text may have been escaped twice."""
    return html.unescape(html.unescape(text))


TEXT_CHANGES: Mapping[str, Callable[[str], str]] = {
    "html": _unescape,
    "unicode": lambda text: unicodedata.normalize("NFC", text),
    "quotes": lambda text: text.translate(_STRAIGHT),
    "whitespace": lambda text: " ".join(text.split()),
}
"""Changes that the vendor may make to a text, each a function that makes both texts equal."""


def undo(text: str, changes: Collection[str]) -> str:
    """Return a text without the difference that some of `TEXT_CHANGES` make."""
    for name, change in TEXT_CHANGES.items():
        if name in changes:
            text = change(text)
    return text


def changes_between(sent: str, echoed: str) -> frozenset[str] | None:
    """Return the fewest changes that explain an echo; None when no change does.

    Example:
        >>> sorted(changes_between("a cat & a dog", " a cat &amp; a dog") or ())
        ['html', 'whitespace']
    """
    if len(echoed) > _LONGEST:
        return None
    for number in range(len(TEXT_CHANGES) + 1):
        for names in itertools.combinations(TEXT_CHANGES, number):
            if undo(sent, names) == undo(echoed, names):
                return frozenset(names)
    return None


def letters(text: str) -> str:
    """Return the letters and digits of a text alone, and the whole text where it has none.

    Texts that differ in these are different, whatever the vendor does to a text; equal ones may be the same.
    """
    text = text[:_LONGEST]
    plain = unicodedata.normalize("NFKD", _unescape(text)).casefold()
    return "".join(filter(str.isalnum, plain)) or "".join(text.split())


def foreign_field(task: Task, request: TaskRequest, *, mark: str | None = None) -> str | None:
    """Return the field that shows a task to be another request's; None when it may be this one's.

    Fields that a task does not report show nothing. The mark of the request's POST outweighs all others; any
    other mark shows nothing, since it may be the last one that the vendor was given.
    """
    if mark is not None and task.mark == mark:
        return None
    if not task.is_of_type(request.task_type):
        return "task type"
    if isinstance(request, RemovalRequest):
        return None  # the vendor may show a link of its own
    text, seconds = task.input.get("prompt"), whole_number(task.input.get("duration"))
    if isinstance(text, str) and text and letters(text) != letters(without_secrets(request.prompt)):
        return "prompt"
    return "duration" if seconds not in (None, request.duration) else None

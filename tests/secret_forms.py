"""The ways in which programs write a secret into a text."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON of Go": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    "URL": lambda text: quote(text, safe=""),
    "URL, slashes left": quote,
    "URL in lower case": lambda text: re.sub("%..", lambda code: code.group().lower(), quote(text)),
    "form": quote_plus,
    "HTML": html.escape,
    "HTML without quotes": lambda text: html.escape(text, quote=False),
    "HTML of Go": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
    "repr": lambda text: repr(text)[1:-1],
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
}


def all_forms(secret: str) -> list[str]:
    """Return a secret in each form, without repetitions."""
    return list(dict.fromkeys(form(secret) for form in FORMS.values()))

"""Pages from templates, which escape all values."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from seedance_dagster.review.gallery.options import GalleryOptions


class Renderer:
    """A filler of templates, with the values of a page and those that all pages need."""

    def __init__(self, options: GalleryOptions) -> None:
        self._options = options

    def __call__(
        self, name: str, request: Request, *, status: int = HTTPStatus.OK, **values: Any
    ) -> Response:
        """Return the answer with a page."""
        shared = {
            "base": request.scope.get("root_path", ""),
            "review": self._options.review,
            "reviewer": self._options.reviewer,
        }
        return HTMLResponse(_templates().get_template(name).render(shared | values), status)


@cache  # they are compiled once
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

"""The gallery as an ASGI application, on its own or mounted in another one."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from seedance_dagster.ledger.errors import LedgerError, LedgerUnavailableError
from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.ledger.tiles.filter import Stage
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.net.secrets import without_secrets
from seedance_dagster.review.gallery.access import Access, log_in, query_without_token
from seedance_dagster.review.gallery.actions import act, read_action
from seedance_dagster.review.gallery.comparing import comparison_routes
from seedance_dagster.review.gallery.details import Clip, read_clip
from seedance_dagster.review.gallery.media import KINDS, media_answer, media_origin
from seedance_dagster.review.gallery.options import GalleryOptions
from seedance_dagster.review.gallery.posts import read_body, read_post
from seedance_dagster.review.gallery.query import PageQuery, QueryError, cursor_text, read_query
from seedance_dagster.review.gallery.rendering import Renderer
from seedance_dagster.review.gallery.view import facets_of, rows_of
from seedance_dagster.storage.s3 import VideoStore

_HERE = Path(__file__).parent
_PAGE = 60


def create_gallery(ledger: Ledger, store: VideoStore, options: GalleryOptions | None = None) -> Starlette:
    """Build the gallery; it needs the extra `gallery`.

    Args:
        ledger: Where orders and verdicts are.
        store: Where videos are.
        options: How it is served; by default it is read-only and open to everybody who reaches it.

    Example:
        >>> app = Starlette(routes=[Mount("/gallery", create_gallery(ledger, store))])
    """
    options = options or GalleryOptions()
    gallery = _Gallery(ledger, store, options)
    origin = "" if options.stream else media_origin(store)
    return Starlette(
        routes=[
            Route("/", gallery.page),
            Route("/tiles", gallery.tiles),
            Route("/facets", gallery.facets),
            Route("/clip", gallery.clip),
            Route("/media/{order_id:int}/{kind}", gallery.media),
            Route("/verdicts", gallery.verdicts, methods=["POST"]),
            *comparison_routes(ledger, store, options),
            Route("/login", gallery.login, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[Middleware(Access, options=options, media_origin=origin)],
        exception_handlers={
            LedgerError: _ledger_error,
            QueryError: _query_error,
            HTTPException: _http_error,
        },
    )


class _Gallery:
    """The pages. Those that are not coroutines run in threads, since they read the database."""

    def __init__(self, ledger: Ledger, store: VideoStore, options: GalleryOptions) -> None:
        self._ledger, self._store, self._options = ledger, store, options
        self._render = Renderer(options)

    def page(self, request: Request) -> Response:
        query = read_query(request.query_params.multi_items())
        clip = self._clip(query) if query.clip else None
        return self._render("page.html", request, query=query, clip=clip, **self._rows(query))

    def tiles(self, request: Request) -> Response:
        query = read_query(request.query_params.multi_items())
        return self._render("tiles.html", request, query=query, **self._rows(query))

    def facets(self, request: Request) -> Response:
        query = read_query(request.query_params.multi_items())
        name = query.tile_filter.prompt_set
        counts = self._ledger.tiles.counts()
        tags = self._ledger.tiles.tags(name) if name else {}
        facets = facets_of(counts, self._ledger.partitions.sets(), name, tags)
        facets.stages[Stage.NOT_ORDERED] = self._ledger.tiles.unordered(name or None)
        scores = self._ledger.scores.names(name or None)
        return self._render(
            "facets.html", request, query=query, facets=facets, scores=scores, Stage=Stage, Verdict=Verdict
        )

    def clip(self, request: Request) -> Response:
        query = read_query(request.query_params.multi_items())
        return self._render("clip.html", request, query=query, clip=self._clip(query))

    def media(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        orders = self._ledger.queries.get_many([min(request.path_params["order_id"], 2**62)])
        answer = None
        if kind in KINDS and orders:
            byte_range = request.headers.get("range", "")
            stream = self._options.stream
            answer = media_answer(self._store, orders[0], kind, stream=stream, byte_range=byte_range)
        return answer or PlainTextResponse("there is no such file\n", HTTPStatus.NOT_FOUND)

    async def verdicts(self, request: Request) -> Response:
        action = read_action(await read_post(request, self._options))
        return JSONResponse(await run_in_threadpool(act, self._ledger, action))

    async def login(self, request: Request) -> Response:
        token, problem, query = self._options.token, "", query_without_token(request)
        if request.method == "POST" and token is not None:
            form = dict(parse_qsl((await read_body(request)).decode("utf-8", "replace"), max_num_fields=10))
            home = f"{request.scope.get('root_path', '')}/{query}"
            if answer := log_in(request, token, form.get("token", ""), home):
                return answer
            problem = "This is not the token. `seedance-dagster gallery` prints it when it starts."
        status = HTTPStatus.FORBIDDEN if problem else HTTPStatus.OK
        return self._render("login.html", request, status=status, problem=problem, query=query)

    def _rows(self, query: PageQuery) -> dict[str, Any]:
        tiles = self._ledger.tiles.page(
            query.tile_filter, order=query.order, after=query.after, limit=_PAGE + 1
        )
        shown = tiles[:_PAGE]
        more = query.link(after=cursor_text(shown[-1].cursor)) if len(tiles) > _PAGE else ""
        rows = rows_of(self._ledger.tiles.with_other_takes(shown), query.order.score)
        return {"rows": rows, "more": more}

    def _clip(self, query: PageQuery) -> Clip:
        prompt_set = query.tile_filter.prompt_set
        if not (prompt_set and query.clip):
            raise QueryError("a clip is named by set and clip, as in ?set=launch_spots&clip=cat-garden")
        tiles = self._ledger.tiles.of_partitions(prompt_set, [query.clip])
        if not tiles:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, f"{prompt_set}/{query.clip}: there is no such partition"
            )
        return read_clip(self._ledger, tiles[0], self._options.dagster_url)


# Errors are plain text: people who followed a link read them, and the scripts of the pages show them.


def _ledger_error(_: Request, error: Exception) -> Response:
    away = isinstance(error, LedgerUnavailableError)
    status = HTTPStatus.SERVICE_UNAVAILABLE if away else HTTPStatus.CONFLICT
    return PlainTextResponse(f"{without_secrets(str(error))}\n", status)


def _query_error(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", HTTPStatus.BAD_REQUEST)


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)

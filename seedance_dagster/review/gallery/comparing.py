"""Blind comparisons: pages that show two variants side by side, and the results.

While a pair is judged, neither the page nor the address of a video says which variant is which: a video comes
through the gallery by the hash of its bytes, since its key in S3 has the partition's name.
"""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from random import SystemRandom

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from seedance_dagster.ledger.ledger import Ledger
from seedance_dagster.review.comparison.figures import read_figures
from seedance_dagster.review.comparison.pairs import questions_of
from seedance_dagster.review.gallery.answers import first_turn, read_answer, read_question, take_answer
from seedance_dagster.review.gallery.media import media_answer, played_kind
from seedance_dagster.review.gallery.options import GalleryOptions
from seedance_dagster.review.gallery.posts import check_review, read_post
from seedance_dagster.review.gallery.rendering import Renderer
from seedance_dagster.storage.s3 import VideoStore


def comparison_routes(ledger: Ledger, store: VideoStore, options: GalleryOptions) -> list[Route]:
    """Return the routes below /compare."""
    pages = _Comparing(ledger, store, options)
    return [
        Route("/compare", pages.questions),
        Route("/compare/pair", pages.pair),
        Route("/compare/next", pages.next),
        Route("/compare/answers", pages.answers, methods=["POST"]),
        Route("/compare/results", pages.results),
        Route("/compare/video/{sha256}", pages.video),
    ]


class _Comparing:
    """The pages. Those that are not coroutines run in threads, since they read the database."""

    def __init__(self, ledger: Ledger, store: VideoStore, options: GalleryOptions) -> None:
        self._ledger, self._store, self._options = ledger, store, options
        self._render = Renderer(options)
        self._random = SystemRandom()

    def questions(self, request: Request) -> Response:
        prompt_set = request.query_params.get("set", "")
        questions = questions_of(self._ledger.comparisons.videos(prompt_set)) if prompt_set else {}
        sets = self._ledger.videos.sets()
        return self._render("questions.html", request, prompt_set=prompt_set, sets=sets, questions=questions)

    def pair(self, request: Request) -> Response:
        read_question(request.query_params)
        return self._render("pair.html", request)

    def next(self, request: Request) -> Response:
        check_review(self._options)
        prompt_set, question = read_question(request.query_params)
        reviewer = request.query_params.get("reviewer", "")
        turn = first_turn(self._ledger, prompt_set, question, reviewer=reviewer, random=self._random)
        return JSONResponse(asdict(turn))

    async def answers(self, request: Request) -> Response:
        answer = read_answer(await read_post(request, self._options))
        turn = await run_in_threadpool(take_answer, self._ledger, answer, self._random)
        return JSONResponse(asdict(turn))

    def results(self, request: Request) -> Response:
        prompt_set, question = read_question(request.query_params)
        figures = read_figures(self._ledger, prompt_set, question)
        return self._render(
            "results.html", request, prompt_set=prompt_set, figures=figures, query=request.url.query
        )

    def video(self, request: Request) -> Response:
        order = self._ledger.comparisons.video(request.path_params["sha256"])
        byte_range = request.headers.get("range", "")
        if order is None:
            return PlainTextResponse("there is no such video\n", HTTPStatus.NOT_FOUND)
        kind = played_kind(order)
        answer = media_answer(self._store, order, kind, stream=True, byte_range=byte_range)
        return answer or PlainTextResponse("there is no such file\n", HTTPStatus.NOT_FOUND)

"""A child process in which scores run, so that a score that hangs or crashes can be ended.

It is forked: a team's functions, such as those of a notebook or of a file that no import finds, cannot be
sent to a process that starts empty. It lives on from video to video, since loading a model takes longer than
using it.

Forking is safe only on Linux. Elsewhere a thread takes its place: one that hangs is left behind, and ends
with its run.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from seedance_dagster.datasets.video import Video
from seedance_dagster.net.redaction import redact
from seedance_dagster.net.secrets import one_line
from seedance_dagster.prompts.problems import first_line
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.score import Score, Value
from seedance_dagster.scores.values import checked_values
from seedance_dagster.storage.s3 import VideoStore

CAN_FORK = sys.platform == "linux"
_DAY_S = 24 * 3600.0
_GRACE_S = 5.0
Answer = dict[str, Any]
"""Values, a problem, or the reason for which the process ended."""


class _Runner(Protocol):
    def ask(self, number: int, video: Video) -> Answer | None:
        """Return the answer of a score by its number; None if it did not come in time."""
        ...

    def close(self) -> None:
        """End the process or thread."""
        ...


class ScoreRunner:
    """Runs the scores of a set, each bounded in time.

    Args:
        scores: The scores.
        store: The bucket that a score may read.
        can_fork: Run them in a child process; False for a thread.
    """

    def __init__(self, scores: Sequence[Score], store: VideoStore, *, can_fork: bool = CAN_FORK) -> None:
        self._scores, self._store = tuple(scores), store
        self._kind: type[_Process | _Thread] = _Process if can_fork else _Thread
        self._runner: _Runner | None = None

    def measure(self, score: Score, video: Video) -> dict[str, Value]:
        """Return the values of a video.

        Raises:
            ScoreError: The score failed, took too long, or returned a value that is not allowed.
        """
        if self._runner is None:
            self._runner = self._kind(self._scores, self._store)
        answer = self._runner.ask(self._scores.index(score), video)
        if answer is None or "end" in answer:
            self.close()
            raise ScoreError(f"took longer than {score.timeout_s:g} s" if answer is None else answer["end"])
        if "problem" in answer:
            raise ScoreError(answer["problem"])
        values: dict[str, Value] = answer["values"]
        return values

    def close(self) -> None:
        """End the process or thread that runs, if there is one."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


class _Process:
    """A forked process, which answers one question after another."""

    def __init__(self, scores: Sequence[Score], store: VideoStore) -> None:
        self._scores = scores
        store.client.close()  # two processes must not share a connection
        context = multiprocessing.get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._here, there, scores, store), daemon=True)
        with warnings.catch_warnings():
            # Python warns of locks that threads hold at the fork: the child would hang, and be ended in time.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        there.close()

    def ask(self, number: int, video: Video) -> Answer | None:
        facts = {field.name: getattr(video, field.name) for field in fields(video) if field.name != "_store"}
        try:
            self._here.send((number, facts))
            if not self._here.poll(min(self._scores[number].timeout_s, _DAY_S)):
                return None
            answer: Answer = json.loads(self._here.recv_bytes())
        except (EOFError, OSError):
            self._process.join()
            return {"end": _reason_of_end(self._process.exitcode or 0)}
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._here.close()


class _Thread:
    """A thread for each question, where a process cannot be forked."""

    def __init__(self, scores: Sequence[Score], store: VideoStore) -> None:
        self._scores = scores
        del store  # each video has it

    def ask(self, number: int, video: Video) -> Answer | None:
        score, answers = self._scores[number], queue.Queue[Answer]()
        threading.Thread(target=lambda: answers.put(_answer(score, video)), daemon=True).start()
        try:
            return answers.get(timeout=min(score.timeout_s, _DAY_S))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Do nothing: a thread that hangs is left behind."""


def _serve(parent: Connection, here: Connection, scores: Sequence[Score], store: VideoStore) -> None:
    """Answer questions until the parent closes its end of the pipe, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    for ending in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)
    parent.close()
    while True:
        try:
            number, facts = here.recv()
        except EOFError:
            return
        # The parent ends this process in time, unless it was killed itself.
        signal.setitimer(signal.ITIMER_REAL, min(scores[number].timeout_s, _DAY_S) + _GRACE_S)
        answer = _answer(scores[number], Video(**facts, _store=store))
        signal.setitimer(signal.ITIMER_REAL, 0)
        here.send_bytes(json.dumps(answer).encode())


def _answer(score: Score, video: Video) -> Answer:
    try:
        return {"values": checked_values(score, score.measure(video))}
    except ScoreError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001  a team's function may raise anything
        place = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{_described(error)} ({Path(place.filename).name}, line {place.lineno})"
    return {"problem": one_line(redact(problem))}


def _described(error: Exception) -> str:
    text = first_line(error)
    return text if text == type(error).__name__ else f"{type(error).__name__}: {text}"


def _reason_of_end(status: int) -> str:
    if status < 0:
        return f"made its process crash ({signal.Signals(-status).name})"
    return f"ended its process (status {status})"

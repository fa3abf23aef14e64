"""Scoring the videos of a set: missing scores are measured, recorded and judged by the rule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from logging import Logger

from seedance_dagster.datasets.video import Video, to_video
from seedance_dagster.engine.services import Services
from seedance_dagster.ledger.changes import Changes
from seedance_dagster.ledger.score_results import ScoreResult
from seedance_dagster.ledger.scored_videos import Scored
from seedance_dagster.ledger.verdict import Verdict
from seedance_dagster.ledger.videos import CurrentVideo
from seedance_dagster.scores.child import ScoreRunner
from seedance_dagster.scores.errors import ScoreError
from seedance_dagster.scores.plan import ScorePlan
from seedance_dagster.scores.rule import accepts, reason, score_problems
from seedance_dagster.scores.score import Score
from seedance_dagster.storage.errors import StoreError

_MAX_UNREAD = 100  # with more, S3 is away rather than some videos
Results = dict[str, ScoreResult]


@dataclass(frozen=True)
class ScoredVideo:
    """A video whose scores, or their problems, changed.

    Attributes:
        video: The partition's video.
        results: The results, by the names of scores.
        scored: A hash of the results, and their problems.
    """

    video: CurrentVideo
    results: Mapping[str, ScoreResult]
    scored: Scored


class ScoringRun:
    """One pass over the videos of a set.

    Args:
        services: The engine's services.
        plan: The scores to measure.
        log: Names the videos that could not be scored.
        is_over: Returns True when the run must stop early; videos not scored by then stay due.
    """

    def __init__(
        self, services: Services, plan: ScorePlan, log: Logger, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self._services, self._plan, self._log, self._is_over = services, plan, log, is_over
        self._ledger, self._set = services.ledger, plan.prompt_set
        self.unread: list[str] = []
        """The partitions whose videos could not be read from S3."""

    def of_changes(self) -> Iterator[ScoredVideo]:
        """Score the videos that changed since the last pass, or all videos if the plan has changed.

        Raises:
            LedgerError: The ledger cannot be read or written.
        """
        changes, is_complete = self._ledger.scored.changes(self._set, self._plan.digest)
        if is_complete:
            keys: set[str] = set(changes.partitions)
            videos = self._ledger.videos.current_among(self._set, keys)
        else:
            videos = self._ledger.videos.current(self._set)
            keys = self._ledger.scored.keys(self._set)
        yield from self._score(videos)
        self._finish(changes, keys.difference(video.partition for video in videos))

    def of_partitions(self, partitions: Collection[str]) -> Iterator[ScoredVideo]:
        """Score the videos of some partitions; what failed before is measured again.

        Raises:
            LedgerError: The ledger cannot be read or written.
        """
        yield from self._score(self._ledger.videos.current_among(self._set, partitions), again=True)

    def _finish(self, changes: Changes, gone: Collection[str]) -> None:
        if self._is_over() or len(self.unread) > _MAX_UNREAD:
            return
        self._ledger.scored.mark_reported(self._set, dict.fromkeys(gone))
        self._ledger.scored.finish(self._set, self._plan.digest, changes, unread=self.unread)

    def _score(self, videos: Collection[CurrentVideo], *, again: bool = False) -> Iterator[ScoredVideo]:
        known = self._ledger.scores.results({str(video.order.sha256) for video in videos})
        before = self._ledger.scored.reported(self._set, [video.partition for video in videos])
        with closing(ScoreRunner(self._plan.scores, self._services.store)) as runner:
            for video in videos:
                if self._is_over():
                    return
                results = known.setdefault(str(video.order.sha256), {})
                missing = [score for score in self._plan.scores if _is_missing(score, results, again=again)]
                try:
                    results |= self._measured(runner, video, missing)
                except StoreError as error:
                    self.unread.append(video.partition)
                    self._log.warning(f"{self._set}/{video.partition} was not scored: {error}")
                    continue
                plan_results = {score.name: results[score.name] for score in self._plan.scores}
                self._decide(video, plan_results)
                scored = _scored(self._plan, video, plan_results)
                if again or before.get(video.partition) != scored:
                    yield ScoredVideo(video, plan_results, scored)
                    self._ledger.scored.mark_reported(self._set, {video.partition: scored})

    def _measured(self, runner: ScoreRunner, current: CurrentVideo, scores: Collection[Score]) -> Results:
        """Measure and record scores of a video; raise `StoreError` if it cannot be read."""
        if not scores:
            return {}
        video = to_video(self._set, current, self._services.store)
        with video.local() as path:
            local = video.at(path)
            results = {score.name: self._result(runner, score, local) for score in scores}
        self._ledger.scores.record(video.sha256, list(results.values()))
        return results

    def _result(self, runner: ScoreRunner, score: Score, video: Video) -> ScoreResult:
        try:
            values = runner.measure(score, video)
        except ScoreError as error:
            self._log.warning(f"{self._set}/{video.partition}: score {score.name!r} {error}")
            return ScoreResult(score=score.name, version=score.version, values={}, problem=str(error))
        return ScoreResult(score=score.name, version=score.version, values=values)

    def _decide(self, video: CurrentVideo, results: Results) -> None:
        rule = self._plan.accept
        if rule is None:
            return
        verdict = Verdict.ACCEPTED if accepts(rule, video.order, results) else Verdict.UNDECIDED
        self._ledger.verdicts.decide(
            self._set, video.partition, str(video.order.sha256), verdict, reason(rule)
        )


def _is_missing(score: Score, results: Results, *, again: bool) -> bool:
    """Return True if a score was not measured in its version, or failed and `again` is True."""
    result = results.get(score.name)
    return result is None or result.version != score.version or (again and result.problem is not None)


def _scored(plan: ScorePlan, video: CurrentVideo, results: Results) -> Scored:
    rows = [(name, result.version, dict(result.values)) for name, result in sorted(results.items())]
    content = json.dumps([video.order.sha256, rows], sort_keys=True)
    return Scored(hashlib.sha256(content.encode()).hexdigest()[:16], score_problems(plan, results) or None)

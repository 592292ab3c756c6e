"""Compile a scorecard, question by question. Each measure has a value as of now and a value as of one window ago."""

from dataclasses import dataclass
from typing import Any, TypeVar

from service.lifecycle.durations import measure_duration
from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory, Risk
from service.metrics.terms import DEFAULT_THRESHOLD
from service.metrics.view import ORGANISATION
from service.scorecard import measures
from service.scorecard.figure import (
    BoldOrSafe,
    Categories,
    Count,
    Failures,
    Figure,
    IdeaToAnswer,
    Length,
    Loops,
    Moment,
    OfCategory,
    Reading,
    Scorecard,
    Seconds,
    Share,
    Sharing,
    StageTimes,
    WithOpenLoops,
)
from service.scorecard.measures import Measure, counted, stage_time
from service.scorecard.rows import Row, Rows

F = TypeVar("F", bound=Figure[Any])

_STAGES_IN_ORDER: tuple[Stage, ...] = (
    "idea_to_start",
    "start_to_signal",
    "signal_to_answer",
    "answer_to_shared",
    "signal_to_shipped",
)
_NO_EXPERIMENT_YET = Reading[Any](value=None, n=0, reason="no experiment existed then")
_NO_PAST_ACTIVITY = "past activity is not stored"


def compile_scorecard(team: str, today: Rows, before: Rows) -> Scorecard:
    """Compile the scorecard of a row.

    Args:
        team: the value of the label `team`; `ORGANISATION` for all experiments.
        today: the rows as of now.
        before: the rows as of the beginning of the window.
    """
    return _Compiler(today.row(team), before.row(team)).scorecard()


@dataclass(frozen=True, slots=True)
class _Compiler:
    today: Row
    before: Row

    def scorecard(self) -> Scorecard:
        view, window = self.today.view, self.today.rows.window
        return Scorecard(
            team=self.today.team,
            teams=tuple(view.teams),
            window=window.label,
            since=view.now - window.length,
            taken_at=view.now,
            minimum_sample=view.terms.min_sample,
            idea_to_answer=self._idea_to_answer(),
            sharing=self._sharing(),
            failures=self._failures(),
            bold_or_safe=self._bold_or_safe(),
            loops=self._loops(),
        )

    def _figure(self, kind: type[F], measure: Measure, before: Measure | None = None) -> F:
        previous = (before or measure)(self.before) if self.before.exists else _NO_EXPERIMENT_YET
        return kind.model_validate({**measure(self.today).model_dump(), "previous": previous.model_dump()})

    def _idea_to_answer(self) -> IdeaToAnswer:
        team = DEFAULT_THRESHOLD if self.today.team == ORGANISATION else self.today.team
        seconds = self.today.view.terms.threshold(team).total_seconds()
        return IdeaToAnswer(
            threshold=Length(seconds=seconds, words=measure_duration(seconds)),
            median=self._figure(Seconds, stage_time("idea_to_answer", 0.5)),
            p90=self._figure(Seconds, stage_time("idea_to_answer", 0.9)),
            answered_within_threshold=self._figure(Share, measures.within_threshold),
            with_open_loops=WithOpenLoops(
                median=self._figure(Seconds, measures.survival_time(0.5)),
                p90=self._figure(Seconds, measures.survival_time(0.9)),
                answered_by_threshold=self._figure(Share, measures.answered_by_threshold),
            ),
            stages=tuple(self._stage(stage) for stage in _STAGES_IN_ORDER),
        )

    def _stage(self, stage: Stage) -> StageTimes:
        median, p90 = (self._figure(Seconds, stage_time(stage, q)) for q in (0.5, 0.9))
        return StageTimes(stage=stage, median=median, p90=p90)

    def _sharing(self) -> Sharing:
        return Sharing(
            last_failure_shared=self._figure(Moment, measures.last_failure_shared),
            learnings_shared=self._figure(Count, counted(measures.shared)),
            failed=self._figure(Count, counted(measures.failed, measures.answered)),
        )

    def _failures(self) -> Failures:
        return Failures(
            biggest=self._figure(Categories, measures.biggest),
            categories=tuple(
                OfCategory(
                    category=category,
                    count=self._figure(Count, counted(measures.failed_as(category), measures.failed)),
                    share_of_answered=self._figure(Share, measures.failure_share(category)),
                )
                for category in FailureCategory
            ),
        )

    def _bold_or_safe(self) -> BoldOrSafe:
        bold, safe, undeclared = (
            self._figure(Count, counted(measures.proposed_as(risk), measures.proposed))
            for risk in (Risk.BOLD, Risk.SAFE, None)
        )
        return BoldOrSafe(
            bold=bold,
            safe=safe,
            undeclared=undeclared,
            share_of_bold=self._figure(Share, measures.share_of_bold),
            bold_pickup_median=self._figure(Seconds, measures.pickup_time(Risk.BOLD)),
            safe_pickup_median=self._figure(Seconds, measures.pickup_time(Risk.SAFE)),
        )

    def _loops(self) -> Loops:
        forgotten = counted(measures.forgotten, measures.in_flight)
        return Loops(
            open=self._figure(Count, counted(measures.in_flight)),
            overdue=self._figure(Count, counted(measures.overdue, measures.in_flight)),
            forgotten=self._figure(Count, forgotten, measures.unknown(_NO_PAST_ACTIVITY)),
            repeated=self._figure(Count, counted(measures.repeated)),
            abandoned=self._figure(Share, measures.abandoned),
        )

"""How long a plan takes, from what is known of its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.explanation.facts import DurationSource, WorkFacts

__all__ = ["work_and_path"]

_NANOSECOND = 1e-9


class _Timed(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def specs(self) -> tuple[_core.NodeSpec, ...]: ...
    @property
    def spec_of(self) -> Sequence[int]: ...


class _Timings(Protocol):
    @property
    def timings(self) -> Sequence[Any]: ...


def work_and_path(
    survey: _core.Survey, plan: _Timed, result: _Timings | None, workers: int | None
) -> tuple[WorkFacts, list[int]]:
    """Return how much work there is, and the operations of the critical path."""
    source: DurationSource
    if result is None:
        source, known = "seen", _seen(plan)
    else:
        source, known = "result", _measured(plan.names, result)
    timed = [seconds for seconds in known if seconds is not None]
    if not timed:
        path, span = survey.critical_path([1.0] * len(known))
        return WorkFacts("operations", 0, float(len(known)), span, workers), path
    mean = sum(timed) / len(timed)
    weights = [mean if seconds is None else seconds for seconds in known]
    path, span = survey.critical_path(weights)
    return WorkFacts(source, len(timed), sum(weights), span, workers), path


def _seen(plan: _Timed) -> list[float | None]:
    by_spec: list[float | None] = []
    for spec in plan.specs:
        shortest, longest = spec.seen_nanoseconds
        by_spec.append((shortest + longest) / 2 * _NANOSECOND if longest else None)
    return [by_spec[spec] for spec in plan.spec_of]


def _measured(names: Sequence[str], result: _Timings) -> list[float | None]:
    seconds: Mapping[str, float] = {timing.operation: timing.seconds for timing in result.timings}
    return [seconds.get(name) for name in names]

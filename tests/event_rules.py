"""What must hold for the events of one run (rule O1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from execution_dataflow import (
    Event,
    ExecutionResult,
    GraphCompleted,
    GraphStarted,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationState,
    OperationUpstreamFailed,
)

_FINAL = {
    OperationCompleted: OperationState.SUCCEEDED,
    OperationFailed: OperationState.FAILED,
    OperationSkipped: OperationState.SKIPPED,
    OperationCancelled: OperationState.CANCELLED,
    OperationUpstreamFailed: OperationState.UPSTREAM_FAILED,
}


def check_events(
    events: Sequence[Event], result: ExecutionResult, predecessors: Mapping[str, set[str]], attempts: Mapping[str, int]
) -> None:
    """Check that the events are one sequence, that causes come before effects, and that they tell what happened."""
    assert [event.sequence for event in events] == list(range(len(events)))
    assert {event.run_id for event in events} == {result.run_id}
    assert isinstance(events[0], GraphStarted)
    assert isinstance(events[-1], GraphCompleted)
    assert events[0].operations == len(predecessors)
    assert events[-1].state is result.state
    started: dict[str, int] = dict.fromkeys(predecessors, 0)
    final: dict[str, OperationState] = {}
    for event in events[1:-1]:
        name = event.operation  # type: ignore[attr-defined]
        assert name not in final, f"{event} after the end of {name}"
        if isinstance(event, OperationStarted):
            late = [before for before in predecessors[name] if before not in final]
            assert not late, f"{name} started before {late} ended"
            started[name] += 1
            assert event.attempt == started[name]
        elif isinstance(event, OperationRetrying):
            assert event.attempt == started[name] >= 1
        elif type(event) in _FINAL:
            final[name] = _FINAL[type(event)]
    assert final == dict(result.states)
    assert started == dict(attempts)

"""R5: the states an operation goes through are legal moves, and a run is successful when none of them is bad."""

from __future__ import annotations

import threading
from collections import defaultdict
from itertools import pairwise

import pytest
from patience import await_event

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Operation,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationState,
    OperationUpstreamFailed,
    OutputPort,
    RetryPolicy,
    RunState,
    operation,
)
from execution_dataflow.states import LEGAL_MOVES

STATE_OF = {
    OperationStarted: OperationState.RUNNING,
    OperationRetrying: OperationState.RETRYING,
    OperationCompleted: OperationState.SUCCEEDED,
    OperationFailed: OperationState.FAILED,
    OperationUpstreamFailed: OperationState.UPSTREAM_FAILED,
    OperationSkipped: OperationState.SKIPPED,
    OperationCancelled: OperationState.CANCELLED,
}


@operation
def follow(value: object) -> object:
    return value


class Branch(Operation):
    taken = OutputPort(int, optional=True)
    left_out = OutputPort(int, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        self.taken = 1


@operation(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=0.001))
def flaky(context: ExecutionContext) -> int:
    if context.attempt < 3:
        raise OSError("busy")
    return context.attempt


@operation
def fail() -> None:
    raise ValueError("no")


def everything() -> GraphDefinition:
    graph = GraphDefinition()
    branch = graph.add(Branch())
    graph.add(follow, value=branch["taken"])
    skipped = graph.add(follow, value=branch["left_out"])
    graph.add(follow, value=skipped)
    graph.add(follow, value=graph.add(flaky))
    graph.add(follow, value=graph.add(fail))
    return graph


@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
@pytest.mark.parametrize("workers", [1, 3])
def test_every_move_that_events_tell_of_is_legal(policy: str, workers: int) -> None:
    events: list[Event] = []
    with ExecutionEngine(max_workers=workers) as engine, engine.subscribe(events.append):
        result = engine.run(everything(), failure_policy=policy)
    moves: dict[str, list[OperationState]] = defaultdict(lambda: [OperationState.PENDING])
    for event in events:
        if type(event) in STATE_OF:
            moves[event.operation].append(STATE_OF[type(event)])  # type: ignore[attr-defined]
    for name, states in moves.items():
        for before, after in pairwise(states):
            ready = OperationState.READY
            through_ready = ready in LEGAL_MOVES[before] and after in LEGAL_MOVES[ready]
            assert after in LEGAL_MOVES[before] or through_ready, f"{name}: {states}"
        assert states[-1].is_final
        assert states[-1] is result.states[name]
    assert set(moves) == set(result.states)


def test_each_state_that_a_run_can_end_in_is_reached() -> None:
    result = ExecutionEngine(max_workers=1).run(everything(), failure_policy="continue")
    assert set(result.states.values()) == {
        OperationState.SUCCEEDED,
        OperationState.FAILED,
        OperationState.UPSTREAM_FAILED,
        OperationState.SKIPPED,
    }
    assert result.state is RunState.FAILED


def test_a_run_with_skipped_operations_is_successful() -> None:
    graph = GraphDefinition()
    branch = graph.add(Branch())
    skipped = graph.add(follow, value=branch["left_out"])
    result = ExecutionEngine(max_workers=1).run(graph)
    assert result.get_state(skipped) is OperationState.SKIPPED
    assert result.is_successful()
    assert result.get_error_message() is None
    result.raise_if_failed()


def test_an_empty_graph_is_successful() -> None:
    events: list[Event] = []
    with ExecutionEngine(max_workers=2) as engine, engine.subscribe(events.append):
        for result in (engine.run(GraphDefinition()), engine.submit(GraphDefinition()).result(10)):
            assert result.is_successful()
            assert dict(result.states) == {}
            assert result.outputs() == {}
            assert result.timings == []
    assert len(events) == 4


def test_states_can_be_watched_while_the_run_goes_on() -> None:
    running, go_on = threading.Event(), threading.Event()
    graph = GraphDefinition()

    @operation
    def block() -> int:
        running.set()
        await_event(go_on)
        return 1

    graph.add(follow, value=graph.add(block))
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(running)
        assert handle.state is RunState.RUNNING
        assert not handle.done()
        assert (handle.progress()["done"], handle.progress()["total"]) == (0, 2)
        go_on.set()
        assert handle.wait(20)
        assert handle.state is RunState.SUCCEEDED
        assert handle.done()
        assert handle.progress()["done"] == 2


def test_final_states_are_those_without_a_way_out() -> None:
    for state in OperationState:
        assert state.is_final == (not LEGAL_MOVES[state])

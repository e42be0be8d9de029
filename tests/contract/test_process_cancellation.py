"""How long process operations of a cancelled run may go on: the grace of that run, and none of their own (R9, R11)."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from living import workers_of
from patience import LIMIT_SECONDS, close_in_time, eventually
from stuck import spin

from execution_dataflow import (
    DeadlineExceeded,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    OperationState,
    RunHandle,
    RunState,
    operation,
)

# What a machine with two busy cores may add.
LATE = 2.0


@pytest.fixture(scope="module")
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor="process", grace_seconds=0.2)
    yield engine
    close_in_time(engine.close)


def hangs(mark: str) -> None:
    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(mark).touch()
    while True:
        with suppress(BaseException):
            spin(60)


def takes(seconds: float, mark: str) -> str:
    Path(mark).touch()
    time.sleep(seconds)
    return "done"


def begun(engine: ExecutionEngine, graph: GraphDefinition, mark: Path) -> RunHandle:
    handle = engine.submit(graph, retain="all")
    assert eventually(mark.exists)
    return handle


def test_grace_of_the_engine_counts(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    node = graph.add(hangs, mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    began = time.monotonic()
    handle.cancel()
    result = handle.result(timeout=LIMIT_SECONDS)
    assert 0.2 <= time.monotonic() - began < 0.2 + LATE
    assert result.get_state(node) is OperationState.CANCELLED


def test_grace_of_one_cancel_counts(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    node = graph.add(takes, seconds=1.5, mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    before = workers_of(engine)
    handle.cancel(grace_seconds=LIMIT_SECONDS)
    result = handle.result(timeout=LIMIT_SECONDS)
    # It had the time to end, and what ends is done.
    assert result.get_state(node) is OperationState.SUCCEEDED
    assert workers_of(engine) == before


def test_grace_without_end_waits_for_the_operation(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    node = graph.add(takes, seconds=1.5, mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    handle.cancel(grace_seconds=math.inf)
    assert handle.result(timeout=LIMIT_SECONDS).get_output(node) == "done"


def test_second_cancel_may_shorten_the_grace_and_not_extend_it(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    graph.add(hangs, mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    handle.cancel(grace_seconds=600)
    assert not handle.wait(0.3)
    began = time.monotonic()
    handle.cancel(grace_seconds=0.4)
    assert not handle.wait(0.1)
    handle.cancel(grace_seconds=600)
    assert handle.result(timeout=LIMIT_SECONDS).state is RunState.CANCELLED
    assert time.monotonic() - began < LATE


def test_no_grace_ends_it_at_once(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    graph.add(hangs, mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    began = time.monotonic()
    handle.cancel(grace_seconds=0)
    handle.result(timeout=LIMIT_SECONDS)
    assert time.monotonic() - began < LATE


def test_deadline_of_a_run_ends_its_process_operations(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(hangs, mark=str(tmp_path / str(index))) for index in range(4)]
    # Tests before this one ended processes, and a new one may take more than the deadline on a busy machine.
    warm = GraphDefinition()
    for index in range(2):
        warm.add(takes, seconds=0.2, mark=str(tmp_path / f"warm-{index}"))
    engine.run(warm).raise_if_failed()
    began = time.monotonic()
    result = engine.run(graph, deadline_seconds=2.0)
    took = time.monotonic() - began
    assert 2.2 <= took < 2.2 + LATE
    assert result.state is RunState.CANCELLED
    assert result.cancelled_by == "its deadline of 2 s was over"
    assert {result.get_state(node) for node in nodes} == {OperationState.CANCELLED}
    assert 1 <= len([path for path in tmp_path.iterdir() if "warm" not in path.name]) <= 2
    with pytest.raises(DeadlineExceeded):
        result.raise_if_failed()


def test_operation_that_always_runs_is_spared_by_the_grace(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    spared = graph.add(operation(takes, always_run=True), seconds=1.2, mark=str(tmp_path / "spared"))
    ended = graph.add(hangs, mark=str(tmp_path / "hanging"))
    handle = begun(engine, graph, tmp_path / "spared")
    assert eventually((tmp_path / "hanging").exists)
    handle.cancel(grace_seconds=0.1)
    result = handle.result(timeout=LIMIT_SECONDS)
    assert result.get_output(spared) == "done"
    assert result.get_state(ended) is OperationState.CANCELLED


def test_operation_that_always_runs_is_spared_before_others_of_its_process(tmp_path: Path) -> None:
    engine = ExecutionEngine(max_workers=1, executor="process", grace_seconds=0.1)
    try:
        # Known as short, these are sent to a process that is at work already.
        short = operation(takes)
        graph = GraphDefinition()
        known = [graph.add(short, seconds=0.0, mark=str(tmp_path / "known")) for _ in range(20)]
        spared = graph.add(operation(takes, always_run=True, priority=9), seconds=1.0, mark=str(tmp_path / "spared"))
        behind = [graph.add(short, seconds=0.0, mark=str(tmp_path / "behind")) for _ in range(20)]
        for later in [spared, *behind]:
            for earlier in known:
                graph.add_dependency(earlier, later)
        handle = begun(engine, graph, tmp_path / "spared")
        handle.cancel()
        result = handle.result(timeout=LIMIT_SECONDS)
        assert result.get_output(spared) == "done"
        # One of them may have come before it.
        assert OperationState.CANCELLED in {result.get_state(node) for node in behind}
    finally:
        close_in_time(engine.close)


def test_time_of_an_operation_goes_on_in_a_cancelled_run(engine: ExecutionEngine, tmp_path: Path) -> None:
    """It ends with its own time when that is over before the grace, and counts as cancelled."""
    graph = GraphDefinition()
    node = graph.add(operation(hangs, timeout_seconds=1.0), mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    handle.cancel(grace_seconds=600)
    assert handle.result(timeout=LIMIT_SECONDS).get_state(node) is OperationState.CANCELLED


def test_other_runs_are_spared(engine: ExecutionEngine, tmp_path: Path) -> None:
    other = GraphDefinition()
    spared = other.add(takes, seconds=1.2, mark=str(tmp_path / "spared"))
    graph = GraphDefinition()
    graph.add(hangs, mark=str(tmp_path / "hanging"))
    going_on = begun(engine, other, tmp_path / "spared")
    handle = begun(engine, graph, tmp_path / "hanging")
    handle.cancel(grace_seconds=0)
    assert handle.result(timeout=LIMIT_SECONDS).state is RunState.CANCELLED
    assert going_on.result(timeout=LIMIT_SECONDS).get_output(spared) == "done"


def test_operation_hears_of_it_before_its_grace_is_over(engine: ExecutionEngine, tmp_path: Path) -> None:
    def listens(mark: str, context: ExecutionContext) -> str:
        Path(mark).touch()
        while not context.cancelled:
            time.sleep(0.005)
        return "heard"

    graph = GraphDefinition()
    node = graph.add(operation(listens, timeout_seconds=60), mark=str(tmp_path / "mark"))
    handle = begun(engine, graph, tmp_path / "mark")
    handle.cancel(grace_seconds=LIMIT_SECONDS)
    assert handle.result(timeout=LIMIT_SECONDS).get_output(node) == "heard"


def test_operation_that_always_runs_hears_of_it_in_a_process_that_had_nothing_of_the_run(
    engine: ExecutionEngine, tmp_path: Path
) -> None:
    def listens(mark: str, context: ExecutionContext) -> None:
        Path(mark).touch()
        while not context.cancelled:
            time.sleep(0.005)

    def clears_up(context: ExecutionContext) -> bool:
        return context.cancelled

    graph = GraphDefinition()
    first = graph.add(operation(listens, executor="thread"), mark=str(tmp_path / "mark"))
    last = graph.add(operation(clears_up, always_run=True))
    graph.add_dependency(first, last)
    handle = begun(engine, graph, tmp_path / "mark")
    handle.cancel(grace_seconds=LIMIT_SECONDS)
    assert handle.result(timeout=LIMIT_SECONDS).get_output(last) is True

"""Operations that end at the very moment of their deadline: what is raised hits the one that is meant, or nobody."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from stuck import no_stray_exceptions

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    OperationState,
    OperationTimeout,
    RunState,
    operation,
)

LIMIT = 0.002


@pytest.fixture(autouse=True)
def _many_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    with no_stray_exceptions():
        yield
    sys.setswitchinterval(before)


def busy(seconds: float) -> int:
    """Run Python code for about this long, without a call that could be hit."""
    end = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end:
        count += 1
    return count


def untouched() -> bool:
    """Notice an exception that is meant for another operation: by failing with it."""
    for _ in range(300):
        pass
    return True


def test_thousands_of_operations_that_end_at_their_deadline_hit_nobody_else() -> None:
    choice = random.Random(4)
    graph = GraphDefinition()
    timed = operation(busy, timeout_seconds=LIMIT)
    patient = operation(untouched, timeout_seconds=1000)
    racing, others = [], []
    for _ in range(1500):
        racing.append(graph.add(timed, seconds=choice.gauss(LIMIT, LIMIT / 10)))
        # In the same threads, right after them.
        others.append(graph.add(patient))
        others.append(graph.add(untouched))
    with ExecutionEngine(max_workers=3, failure_policy="continue", grace_seconds=20) as engine:
        result = engine.run(graph)
    assert {result.get_state(node) for node in others} == {OperationState.SUCCEEDED}
    kinds = Counter(type(error.exception).__name__ for error in result.errors)
    assert set(kinds) == {"OperationTimeout"}
    assert not any(error.exception.is_set_aside for error in result.errors)
    # Both outcomes, or it was no race.
    assert 100 < kinds["OperationTimeout"] < len(racing) - 20


def test_items_that_end_at_their_deadline_hit_no_other_item() -> None:
    choice = random.Random(5)
    graph = GraphDefinition()
    seconds = [choice.gauss(LIMIT, LIMIT / 10) if index % 2 else 0.0 for index in range(1500)]
    node = graph.map(operation(busy, timeout_seconds=LIMIT * 2), over=seconds, on_error="keep")
    check = graph.map(operation(untouched_item, timeout_seconds=1000), over=range(500))
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph)
    assert result.get_output(check) == list(range(500))
    failures = [value.error for value in result.get_output(node) if not isinstance(value, int)]
    assert {type(error) for error in failures} <= {OperationTimeout}


def untouched_item(number: int) -> int:
    untouched()
    return number


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=some.floats(0.0005, 0.004),
    lengths=some.lists(some.floats(0, 0.004), min_size=1, max_size=20),
    workers=some.integers(1, 3),
)
def test_every_operation_ends_in_time_or_is_reported(limit: float, lengths: list[float], workers: int) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(operation(busy, timeout_seconds=limit), seconds=seconds) for seconds in lengths]
    after = [graph.add(untouched) for _ in nodes]
    with ExecutionEngine(max_workers=workers, failure_policy="continue", grace_seconds=20) as engine:
        result = engine.run(graph)
    for node, seconds in zip(nodes, lengths, strict=True):
        if result.get_state(node) is OperationState.SUCCEEDED:
            continue
        assert type(result.errors[0].exception) is OperationTimeout
        assert seconds > 0 or limit < 0.05
    assert all(result.get_state(node) is OperationState.SUCCEEDED for node in after)


def test_runs_that_are_cancelled_at_any_moment_hit_nothing_of_the_others() -> None:
    choice = random.Random(6)
    stop = threading.Event()
    broken: list[object] = []

    def others() -> None:
        graph = GraphDefinition()
        for _ in range(50):
            graph.add(untouched)
        while not stop.is_set():
            result = steady.run(graph)
            if not result.is_successful():
                broken.append(result)

    with (
        ExecutionEngine(max_workers=2) as steady,
        ExecutionEngine(max_workers=2, grace_seconds=0) as hasty,
    ):
        neighbours = [threading.Thread(target=others) for _ in range(2)]
        for neighbour in neighbours:
            neighbour.start()
        try:
            for _ in range(300):
                graph = GraphDefinition()
                for _ in range(6):
                    graph.add(busy, seconds=choice.uniform(0, 0.001))
                handle = hasty.submit(graph)
                time.sleep(choice.uniform(0, 0.004))
                handle.cancel()
                assert handle.result(20).state in (RunState.CANCELLED, RunState.SUCCEEDED)
        finally:
            stop.set()
            for neighbour in neighbours:
                neighbour.join(20)
    assert not broken

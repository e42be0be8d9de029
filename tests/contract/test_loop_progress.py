"""How far a loop has come: while it runs, and when it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from execution_dataflow import ExecutionEngine, GraphDefinition, OperationState, operation, repeated


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def test_progress_shows_the_iterations_of_loops_that_run() -> None:
    gate = threading.Semaphore(0)

    @operation(outputs="count")
    def step(count: int) -> int:
        assert gate.acquire(timeout=30)
        return count + 1

    graph = GraphDefinition("counting")
    graph.repeat_until(step.new(name="step"), until=lambda count: count >= 4, max_iterations=8, count=0, name="loop")
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)

        def said() -> object:
            return handle.progress()["operations"].get("loop")

        assert eventually(lambda: said() == (0.0, "iteration 1 of 8 at most"))
        gate.release(2)
        assert eventually(lambda: said() == (0.25, "iteration 3 of 8 at most"))
        gate.release(2)
        handle.result(timeout=30)
        assert said() is None, "it has ended"


def test_loops_within_loops_are_named() -> None:
    gate = threading.Semaphore(0)
    held = threading.Event()

    @operation(outputs="count")
    def step(count: int) -> int:
        if count == 3:
            held.set()
            assert gate.acquire(timeout=30)
        return count + 1

    inner = repeated(step, until=lambda count: count % 2 == 0, max_iterations=5, name="inner")
    graph = GraphDefinition("counting")
    graph.repeat_until(inner, until=lambda count: count >= 6, max_iterations=10, count=0, name="outer")
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        assert held.wait(30)
        found = {name: told[1] for name, told in handle.progress()["operations"].items()}
        gate.release(100)
        handle.result(timeout=30)
    assert found == {"outer": "iteration 2 of 10 at most", "outer[1]/inner": "iteration 2 of 5 at most"}


def test_states_inside_of_many_iterations_are_each_found() -> None:
    @operation(outputs="count")
    def step(count: int) -> int:
        return count + 1

    graph = GraphDefinition("counting")
    loop = graph.repeat_until(step, until=lambda count: count >= 700, max_iterations=1000, count=0, name="loop")
    result = ExecutionEngine(max_workers=2).run(graph)
    states = result.states_inside(loop)
    assert len(states) == 1400
    assert set(states.values()) == {OperationState.SUCCEEDED}
    assert list(states)[:2] == ["loop[0]/step", "loop[0]/until"]
    assert list(states)[-1] == "loop[699]/until"


def test_expansions_of_items_that_run_at_once_are_found_too() -> None:
    """Their numbers may be in another order than the expansions are."""

    @operation(outputs="count")
    def step(count: int) -> int:
        if count % 16 == 0:
            time.sleep(0.0002)
        return count + 1

    inner = repeated(step, until=lambda count: count >= 40, max_iterations=100, name="inner")
    graph = GraphDefinition("counting")
    graph.map(inner, over={"count": list(range(24))}, name="all")
    result = ExecutionEngine(max_workers=4).run(graph)
    for item in range(24):
        states = result.states_inside(f"all[{item}]")
        assert len(states) == 2 * (40 - item)
        assert set(states.values()) == {OperationState.SUCCEEDED}

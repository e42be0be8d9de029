"""What a run costs apart from its operations: counted, since times depend on what else the machine does."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition

# What is made lazily today must not creep into every run: each call of a Python function is some 60 ns of about 7 µs.
MOST_CALLS = 15


def graph_of_one() -> GraphDefinition:
    graph = GraphDefinition()
    graph.add(lambda: 1)
    return graph


def calls_in(engine: ExecutionEngine, graph: GraphDefinition, context: ExecutionContext | None) -> list[str]:
    """Return the names of the functions of the package that one run calls."""
    names: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and "execution_dataflow" in frame.f_code.co_filename:
            names.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        engine.run(graph, context)
    finally:
        sys.setprofile(None)
    return names


@pytest.mark.parametrize("context", [None, ExecutionContext("small")], ids=["no context", "a context"])
def test_a_run_of_one_operation_calls_few_python_functions(context: ExecutionContext | None) -> None:
    graph = graph_of_one()
    with ExecutionEngine(max_workers=4) as engine:
        engine.run(graph)
        names = calls_in(engine, graph, context)
    assert "ExecutionEngine.run" in names
    assert len(names) <= MOST_CALLS, names


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="needs reference counts")
def test_a_run_leaves_nothing_for_the_cycle_collector() -> None:
    graph = graph_of_one()
    with ExecutionEngine(max_workers=4) as engine:
        for run in (lambda: engine.run(graph), lambda: engine.submit(graph).result()):
            run()
            # What threads of other tests leave just now is not left every time.
            assert min(left_by_fifty(run) for _ in range(3)) < 50, "every run left a cycle"


def left_by_fifty(run: Callable[[], object]) -> int:
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            run()
        return gc.collect()
    finally:
        gc.enable()

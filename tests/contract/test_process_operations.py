"""Operations in worker processes give what the same graph gives on threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from process_engines import value_of

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    MapError,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    operation,
)


def test_operation_runs_in_another_process(processes: ExecutionEngine) -> None:
    assert value_of(processes, lambda: os.getpid()) != os.getpid()


def test_processes_are_kept_for_the_next_run(processes: ExecutionEngine) -> None:
    first = {value_of(processes, lambda: os.getpid()) for _ in range(5)}
    again = {value_of(processes, lambda: os.getpid()) for _ in range(5)}
    assert len(first | again) <= 2


def test_engine_default_gives_way_to_what_an_operation_says(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    @operation(executor="thread")
    def here() -> int:
        return os.getpid()

    @operation(executor="inline")
    def inline() -> int:
        return os.getpid()

    @operation(executor="process")
    def there() -> int:
        return os.getpid()

    class OnClass(Operation):
        executor = "process"
        pid = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.pid = os.getpid()

    assert value_of(processes, here) == value_of(processes, inline) == os.getpid()
    assert value_of(threads, there) != os.getpid()
    assert value_of(threads, OnClass()) != os.getpid()
    assert value_of(threads, OnClass(executor="thread")) == os.getpid()


def test_coroutines_stay_on_the_event_loop(processes: ExecutionEngine) -> None:
    async def where() -> int:
        return os.getpid()

    assert value_of(processes, where) == os.getpid()


def test_inline_engine_runs_everything_on_the_calling_thread() -> None:
    graph = GraphDefinition("inline")
    calls = [graph.add(lambda: threading.get_ident()) for _ in range(20)]
    with ExecutionEngine(executor="inline", max_workers=4) as engine:
        result = engine.run(graph)
        assert {result.get_output(call) for call in calls} == {threading.get_ident()}
        assert engine.max_workers == 1


def test_chain_of_classes_functions_and_closures_gives_what_threads_give(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    factor = 3

    class Scale(Operation):
        raw = InputPort(list[int])
        scaled = OutputPort(list[int])
        count = OutputPort(int, optional=True)

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

        def execute(self, context: Any) -> None:
            self.scaled = [value * self.by for value in self.raw]

    class Total(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("values", InputPort(data_type=list))
            self.add_input_port("offset", InputPort(int, default=5))
            self.add_output_port("total", OutputPort(data_type=int))

        def execute(self, context: Any) -> None:
            self.set_output("total", sum(self.get_input("values")) + self.get_input("offset"))

    graph = GraphDefinition("chain")
    rows = graph.add(lambda: [1, 2, 3])
    scaled = graph.add(Scale(2), raw=rows)
    total = graph.add(Total(), values=scaled["scaled"])
    tripled = graph.add(lambda x: x * factor, x=total)
    skipped = graph.add(lambda x: x, x=scaled["count"])
    by_threads, by_processes = threads.run(graph), processes.run(graph)
    assert by_processes.get_output(tripled) == by_threads.get_output(tripled) == 51
    assert by_processes.states == by_threads.states
    assert by_processes.get_state(skipped) is OperationState.SKIPPED


def test_array_that_may_not_be_written_may_not_be_written_there(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    def make() -> np.ndarray:
        return np.arange(4.0)

    def write(values: np.ndarray) -> float:
        values[0] = 9.0
        return float(values.sum())

    class WriteAllowed(Operation):
        values = InputPort(np.ndarray, mutable=True)
        total = OutputPort(float)

        def execute(self, context: Any) -> None:
            self.values[0] = 9.0
            self.total = float(self.values.sum())

    for engine in (threads, processes):
        graph = GraphDefinition("arrays")
        made = graph.add(make)
        graph.add(write, values=made)
        result = engine.run(graph)
        assert result.first_error is not None
        assert "read-only" in str(result.first_error.exception)
        graph = GraphDefinition("arrays")
        total = graph.add(WriteAllowed(), values=graph.add(make))
        assert engine.run(graph).get_output(total) == 15.0


def test_result_that_nobody_consumes_is_writeable(processes: ExecutionEngine) -> None:
    array = value_of(processes, lambda: np.zeros(1000))
    array[0] = 1.0
    assert array.flags.aligned


def test_class_that_was_sent_comes_back_as_the_class_it_is(processes: ExecutionEngine) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    def move(point: Point) -> Point:
        return Point(point.x + 1)

    moved = value_of(processes, move, point=Point(1))
    assert type(moved) is Point
    assert moved.x == 2


def test_closure_is_sent_anew_when_it_has_changed(processes: ExecutionEngine) -> None:
    box = [1]
    graph = GraphDefinition("closure")
    added = graph.add(lambda: box[0])
    assert processes.run(graph).get_output(added) == 1
    box[0] = 2
    assert processes.run(graph).get_output(added) == 2


def test_what_an_operation_writes_to_itself_stays_in_the_worker(processes: ExecutionEngine) -> None:
    class Remembering(Operation):
        done = OutputPort(bool)

        def execute(self, context: Any) -> None:
            self.seen = True
            self.done = True

    remembering = Remembering()
    assert value_of(processes, remembering)
    assert not hasattr(remembering, "seen")


# ---------------------------------------------------------------- maps


@pytest.mark.parametrize("items", [0, 1, 3_000])
def test_map_gives_what_threads_give(processes: ExecutionEngine, threads: ExecutionEngine, items: int) -> None:
    graph = GraphDefinition("map")
    squares = graph.map(lambda x, y: x * x + y, over={"x": list(range(items))}, y=1)
    assert processes.run(graph).get_output(squares) == threads.run(graph).get_output(squares)


def test_map_over_an_iterator_retries_its_items(processes: ExecutionEngine, tmp_path: Any) -> None:
    def fragile(x: int) -> int:
        mark = tmp_path / str(x)
        if x % 7 == 0 and not mark.exists():
            mark.touch()
            raise OSError("not yet")
        return x + 1

    class Numbers:
        def __iter__(self) -> Iterator[int]:
            return iter(range(200))

    graph = GraphDefinition("map")
    function = operation(retry_policy=RetryPolicy(max_attempts=2))(fragile)
    added = graph.map(function, over={"x": Numbers()})
    result = processes.run(graph)
    result.raise_if_failed()
    assert result.get_output(added) == list(range(1, 201))


def test_failed_item_is_named(processes: ExecutionEngine) -> None:
    def half(x: int) -> int:
        if x == 5:
            raise ValueError("odd")
        return x // 2

    graph = GraphDefinition("map")
    graph.map(half, over={"x": list(range(10))})
    error = processes.run(graph).first_error
    assert error is not None
    assert isinstance(error.exception, MapError)
    assert "half[5]" in str(error.exception)
    assert error.where is not None
    assert error.where.endswith("in half")

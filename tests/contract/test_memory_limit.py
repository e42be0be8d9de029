"""``memory_limit``: producers wait rather than let values pile up, and something always goes on."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationFunction,
    OutputPort,
    operation,
    register_size,
)
from execution_dataflow.sizes import size_of

MEGABYTE = 1_000_000


class Alive:
    """How many bytes of the arrays that it made are alive, and how many were at most."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()

    def array(self, size: int = MEGABYTE, value: float = 1.0) -> np.ndarray:
        array = np.full(size // 8, value)
        with self._lock:
            self.now += array.nbytes
            self.most = max(self.most, self.now)
        weakref.finalize(array, self._gone, array.nbytes)
        return array

    def _gone(self, size: int) -> None:
        with self._lock:
            self.now -= size


class Total(Operation):
    values = InputPort(Any, many=True)
    total = OutputPort(float)

    def execute(self, context: Any) -> None:
        self.total = float(sum(float(np.ravel(value)[0]) for value in self.values))


def wide(alive: Alive, width: int, produce: OperationFunction[..., Any] | None = None) -> tuple[GraphDefinition, Any]:
    """Make many producers, of which each has a consumer that the producers would leave behind."""

    @operation
    def make(number: int) -> np.ndarray:
        return alive.array(value=number)

    @operation
    def reduce(array: np.ndarray) -> float:
        time.sleep(0.001)
        return float(array[0])

    graph = GraphDefinition()
    made = [graph.add(produce or make, number=number) for number in range(width)]
    return graph, graph.add(Total(), values=[graph.add(reduce, array=array) for array in made])


def test_values_stay_within_the_limit() -> None:
    alive = Alive()
    graph = GraphDefinition()

    @operation(priority=1)
    def make(number: int) -> np.ndarray:
        return alive.array(value=number)

    # Without a limit the priority makes every array before the first is used.
    made = [graph.add(make, number=number) for number in range(40)]
    used = [graph.add(lambda array: float(array[0]), array=array) for array in made]
    with ExecutionEngine(max_workers=3, memory_limit=4 * MEGABYTE) as engine:
        result = engine.run(graph)
    assert [result.get_output(step) for step in used] == list(range(40))
    # What an operation is about to return comes on top of what lies between operations.
    assert alive.most <= 7 * MEGABYTE
    free = Alive()
    alive.array = free.array  # type: ignore[method-assign]
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph)
    assert free.most >= 30 * MEGABYTE, "the graph would not have shown a limit that does nothing"


def test_coroutines_are_not_all_started() -> None:
    alive = Alive()

    @operation
    async def fetch(number: int) -> np.ndarray:
        await asyncio.sleep(0.001)
        return alive.array(value=number)

    graph, summed = wide(alive, 50, fetch)
    with ExecutionEngine(max_workers=2, memory_limit="5 MB") as engine:
        assert engine.run(graph).get_output(summed) == sum(range(50))
    assert alive.most <= 8 * MEGABYTE


@pytest.mark.parametrize("workers", [1, 3])
def test_something_goes_on_even_where_one_value_is_beyond_the_limit(workers: int) -> None:
    alive = Alive()
    graph, summed = wide(alive, 20)
    with ExecutionEngine(max_workers=workers, memory_limit=1000) as engine:
        assert engine.run(graph).get_output(summed) == sum(range(20))
    assert alive.most <= 2 * MEGABYTE


def test_what_must_pile_up_piles_up() -> None:
    alive = Alive()
    graph = GraphDefinition()
    made = [graph.add(lambda: alive.array()) for _ in range(20)]
    summed = graph.add(Total(), values=made)
    kept = [graph.add(lambda: alive.array()) for _ in range(5)]
    with ExecutionEngine(max_workers=3, memory_limit="2 MB") as engine:
        for _ in range(3):
            result = engine.run(graph)
            assert result.get_output(summed) == 20
            assert all(result.get_output(step)[0] == 1 for step in kept)


def test_declared_sizes_count_before_the_first_is_seen() -> None:
    alive = Alive()
    inside = [0, 0]
    lock = threading.Lock()

    @operation(output_bytes=3 * MEGABYTE)
    def make(number: int) -> np.ndarray:
        with lock:
            inside[0] += 1
            inside[1] = max(inside)
        time.sleep(0.002)
        with lock:
            inside[0] -= 1
        return alive.array(value=number)

    graph, summed = wide(alive, 20, make)
    with ExecutionEngine(max_workers=6, memory_limit=7 * MEGABYTE) as engine:
        assert engine.run(graph).get_output(summed) == sum(range(20))
    assert inside[1] == 2


def test_a_value_that_passes_through_counts_once() -> None:
    graph = GraphDefinition()
    at = graph.add(lambda: np.ones(MEGABYTE // 8))
    live: list[int] = []
    with ExecutionEngine(max_workers=1, memory_limit="100 MB") as engine:
        core: Callable[[], int] = lambda: engine._options.limits.core.live  # noqa: E731
        for _ in range(5):
            at = graph.add(lambda array: array[1:], array=at)
        graph.add(lambda array: live.append(core()), array=at)
        engine.run(graph)
        assert live == [8 * (MEGABYTE // 8)]
        assert core() == 0, "what a result keeps does not count after its run"


@pytest.mark.parametrize("stack", [False, True])
def test_results_of_a_map_count_while_it_runs(stack: bool) -> None:
    seen: list[int] = []
    graph = GraphDefinition()
    with ExecutionEngine(max_workers=1, memory_limit="100 MB") as engine:

        @operation
        def make(number: int) -> np.ndarray:
            seen.append(engine._options.limits.core.live)
            return np.full(1000, float(number))

        made = graph.map(make, over=range(10), stack=stack)
        summed = graph.add(lambda arrays: float(sum(array[0] for array in arrays)), arrays=made)
        assert engine.run(graph).get_output(summed) == 45
        assert seen == [8000 * number for number in range(10)]
        assert engine._options.limits.core.live == 0


def test_a_nested_run_goes_on_while_its_operation_holds_the_memory() -> None:
    alive = Alive()
    inner, summed = wide(alive, 5)
    with ExecutionEngine(max_workers=2, memory_limit="1 MB") as engine:
        outer = GraphDefinition()
        steps = [outer.add(lambda: (alive.array(), engine.run(inner).get_output(summed))[1]) for _ in range(4)]
        result = engine.run(outer)
        assert [result.get_output(step) for step in steps] == [10.0] * 4


def test_mutable_inputs_take_their_memory_with_them() -> None:
    class Double(Operation):
        array = InputPort(np.ndarray, mutable=True)
        doubled = OutputPort(np.ndarray)

        def execute(self, context: Any) -> None:
            array = self.array
            array *= 2
            self.doubled = array

    graph = GraphDefinition()
    at: Any = graph.add(lambda: np.ones(1000))
    for _ in range(10):
        at = graph.add(Double(), array=at)
    last = graph.add(lambda array: float(array[0]), array=at)
    with ExecutionEngine(max_workers=2, memory_limit=10_000) as engine:
        assert engine.run(graph).get_output(last) == 1024
        assert engine._options.limits.core.live == 0


def test_failures_and_skips_leave_nothing_counted() -> None:
    graph = GraphDefinition()
    for number in range(10):
        made = graph.add(lambda: np.ones(1000))
        graph.add(lambda array, number=number: 1 // (number % 2), array=made)
    with ExecutionEngine(max_workers=2, memory_limit=50_000, failure_policy="continue") as engine:
        assert not engine.run(graph).is_successful()
        assert engine._options.limits.core.live == 0
        assert engine._options.limits.core.waiting == 0


def test_sizes_of_everyday_values() -> None:
    class Image:
        def __init__(self) -> None:
            self.pixels = bytes(50_000)

    class Registered:
        pass

    register_size(Registered, lambda value: 123_456)
    assert size_of(np.zeros(1000)) == 8000
    assert 50_000 < size_of(b"x" * 50_000) < 50_100
    assert size_of(Image()) > 50_000
    assert size_of(Registered()) == 123_456
    assert size_of([np.zeros(1000)] * 100) > 800_000
    assert size_of({"a": np.zeros(1000)}) > 8000
    looped: list[Any] = []
    looped.append(looped)
    assert size_of(looped) > 0
    objects = np.array(["x" * 1000] * 50, dtype=object)
    assert size_of(objects) > 50_000
    with pytest.raises(TypeError, match="register_size"):
        register_size("Image", len)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="register_size"):
        register_size(Image, 5)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_size_that_cannot_be_told_is_reported_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(str(report.exc_value)))

    class Broken:
        @property
        def nbytes(self) -> int:
            raise RuntimeError("no size")

    graph = GraphDefinition()
    made = graph.add(lambda: Broken())
    last = graph.add(lambda value: 1, value=made)
    with ExecutionEngine(max_workers=1, memory_limit="1 MB") as engine:
        assert engine.run(graph).get_output(last) == 1
    assert reported == ["no size"]

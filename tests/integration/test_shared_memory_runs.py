"""D1 and D2 through the engine: what process operations pass to each other, and who may write to it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from memory_operations import Write, copies_there, facts, fill, pass_on, total
from patience import close_in_time, eventually

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    RetryPolicy,
    WorkerDied,
    operation,
)
from execution_dataflow.shared_memory import process_memory

LENGTH = 2 << 20  # 16 MB of numbers


@pytest.fixture(scope="module")
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2)
    yield engine
    close_in_time(engine.close)


def copies_here() -> int:
    return process_memory().stats().copies


def test_an_array_of_a_process_operation_passes_through_others_without_a_copy(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    last: Any = graph.add(fill, length=LENGTH)
    for _ in range(6):
        last = graph.add(pass_on, array=last)
    summed = graph.add(total, array=last)
    counted = graph.add(copies_there, after=summed)
    before = copies_here()
    result = engine.run(graph, retain=[summed, counted])
    result.raise_if_failed()
    assert result.get_output(summed) == LENGTH * (LENGTH - 1) / 2
    assert copies_here() == before
    assert result.get_output(counted)[1] == 0


def test_an_array_of_a_thread_operation_passes_to_processes_without_a_copy(engine: ExecutionEngine) -> None:
    @operation
    def make(context: ExecutionContext) -> np.ndarray:
        array = context.empty((LENGTH,))
        array[:] = 2.0
        return array

    graph = GraphDefinition()
    made = graph.add(make)
    sums = [graph.add(total, array=made) for _ in range(3)]
    before = copies_here()
    result = engine.run(graph)
    assert [result.get_output(each) for each in sums] == [2.0 * LENGTH] * 3
    assert copies_here() == before


def test_a_foreign_array_is_copied_once_for_all_that_read_it(engine: ExecutionEngine) -> None:
    @operation
    def make() -> np.ndarray:
        return np.ones(LENGTH)

    graph = GraphDefinition()
    made = graph.add(make)
    sums = [graph.add(total, array=made) for _ in range(4)]
    before = copies_here()
    result = engine.run(graph)
    assert [result.get_output(each) for each in sums] == [float(LENGTH)] * 4
    assert copies_here() == before + 1


def test_readers_in_worker_processes_cannot_write(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    looked = graph.add(facts, array=graph.add(fill, length=LENGTH))
    assert engine.run(graph).get_output(looked) == (False, "locked", LENGTH - 1.0)


@pytest.mark.parametrize("length", [10, LENGTH])
def test_a_mutable_input_in_a_worker_process_is_its_own(length: int, engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    made = graph.add(fill, length=length)
    written = graph.add(Write(executor="process"), array=made)
    looked = graph.add(facts, array=made)
    graph.add_dependency(written, looked)
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(looked)[2] == length - 1.0
    assert result.get_output(written)[-1] == length


def test_a_mutable_input_of_a_thread_operation_moves_memory_that_a_process_made(engine: ExecutionEngine) -> None:
    addresses: list[int] = []

    class Note(Write):
        def execute(self, context: ExecutionContext) -> None:
            addresses.append(self.array.ctypes.data)
            super().execute(context)

    @operation
    def make(context: ExecutionContext) -> np.ndarray:
        array = context.empty((LENGTH,))
        addresses.append(array.ctypes.data)
        array[:] = 1.0
        return array

    graph = GraphDefinition()
    first = graph.add(Note(), array=graph.add(make))
    second = graph.add(Note(), array=first)
    result = engine.run(graph)
    result.raise_if_failed()
    assert len(set(addresses)) == 1
    assert result.get_output(second)[0] == 3.0


def test_memory_that_a_worker_process_looks_at_is_not_written_by_a_thread(engine: ExecutionEngine) -> None:
    @operation
    def make(context: ExecutionContext) -> np.ndarray:
        array = context.empty((LENGTH,))
        array[:] = 1.0
        return array

    graph = GraphDefinition()
    made = graph.add(make)
    summed = graph.add(total, array=made)
    written = graph.add(Write(), array=made)
    result = engine.run(graph)
    assert result.get_output(summed) == LENGTH
    assert result.get_output(written)[0] == 2.0


def test_a_result_that_nobody_consumes_is_writeable(engine: ExecutionEngine) -> None:
    @operation(executor="process")
    def ones() -> np.ndarray:
        return np.ones(LENGTH)

    graph = GraphDefinition()
    made = graph.add(ones)
    array = engine.run(graph).get_output(made)
    array[0] = 5.0
    assert array[:2].tolist() == [5.0, 1.0]


def test_memory_is_free_when_the_results_are_gone(engine: ExecutionEngine) -> None:
    gc.collect()
    graph = GraphDefinition()
    last = graph.add(pass_on, array=graph.add(fill, length=LENGTH))
    result = engine.run(graph)
    array = result.get_output(last)
    del result
    gc.collect()
    assert array[-1] == LENGTH - 1
    in_use = process_memory().stats().blocks_in_use
    del array
    gc.collect()
    assert process_memory().stats().blocks_in_use < in_use


def test_what_a_killed_worker_held_is_free_and_the_next_attempt_gets_its_input(engine: ExecutionEngine) -> None:
    @operation(executor="process", retry_policy=RetryPolicy(max_attempts=2, retry_on=WorkerDied))
    def die_once(array: np.ndarray, context: ExecutionContext) -> float:
        if context.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(array.sum())

    graph = GraphDefinition()
    summed = graph.add(die_once, array=graph.add(fill, length=LENGTH))
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(summed) == LENGTH * (LENGTH - 1) / 2


def test_closing_an_engine_leaves_no_memory_behind() -> None:
    before = set(process_memory().links)
    with ExecutionEngine(max_workers=2) as engine:
        graph = GraphDefinition()
        last: Any = graph.add(fill, length=LENGTH)
        for _ in range(3):
            last = graph.add(pass_on, array=last)
        summed = graph.add(total, array=last)
        assert engine.run(graph).get_output(summed) > 0
        assert set(process_memory().links) - before
    assert eventually(lambda: not set(process_memory().links) - before)


def test_an_array_of_objects_and_a_text_pass_as_ever(engine: ExecutionEngine) -> None:
    @operation(executor="process")
    def make() -> dict[str, Any]:
        return {"objects": np.array([{"at": at} for at in range(50_000)]), "text": "ä" * 500_000}

    @operation(executor="process")
    def look(value: dict[str, Any]) -> tuple[Any, int]:
        return value["objects"][-1], len(value["text"])

    graph = GraphDefinition()
    looked = graph.add(look, value=graph.add(make))
    assert engine.run(graph).get_output(looked) == ({"at": 49_999}, 500_000)

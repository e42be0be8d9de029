"""D2, G4: ``ExecutionEngine(debug=True)`` names the operation that wrote to what others share."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from array import array
from typing import Any

import numpy as np
import pytest
from patience import await_event

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    RunState,
    SharedValueChangedError,
    operation,
)
from execution_dataflow.fingerprints import fingerprint

pandas = pytest.importorskip("pandas")


def frame() -> Any:
    return pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})


def change_frame(values: Any) -> None:
    values.loc[0, "a"] = 9.0


def change_texts(values: Any) -> None:
    values.loc[0, "b"] = "z"


WRITERS = [
    (lambda: bytearray(b"spam"), lambda values: values.__setitem__(0, 1)),
    (lambda: memoryview(bytearray(8))[::2], lambda values: values.__setitem__(0, 1)),
    (lambda: array("d", [1.0, 2.0]), lambda values: values.append(3.0)),
    (lambda: [1, [2, 3]], lambda values: values[1].append(4)),
    (lambda: {"a": {"b": 1}}, lambda values: values["a"].update(c=2)),
    (lambda: {1, 2}, lambda values: values.add(3)),
    (lambda: (np.zeros(3), "text"), lambda values: values[0].__setitem__(0, 1)),
    (lambda: {"x": np.zeros((4, 4))[::2, 1]}, lambda values: values["x"].__setitem__(0, 1)),
    (lambda: np.zeros(3).view(np.recarray), lambda values: values.__setitem__(0, 1)),
    (lambda: np.array([None, [2]], dtype=object), lambda values: values[1].append(3)),
    (lambda: np.ma.array([1.0, 2.0], mask=[True, False]), lambda values: values.mask.__setitem__(1, True)),
    (frame, change_frame),
    (frame, change_texts),
    (lambda: pandas.Series([1, 2], dtype="Int64"), lambda values: values.__setitem__(0, 5)),
    (
        lambda: pandas.Series(pandas.to_datetime(["2026-01-01"])),
        lambda values: values.__setitem__(0, pandas.Timestamp(0)),
    ),
]


@pytest.mark.parametrize("number", range(len(WRITERS)))
def test_the_operation_that_writes_to_a_shared_value_fails_by_name(number: int) -> None:
    make, write = WRITERS[number]
    graph = GraphDefinition()
    made = graph.add(operation(make).new(name="load"))
    graph.add(operation(lambda values: None).new(name="reads"), values=made)
    writer = graph.add(operation(write).new(name="writes"), values=made)
    after = graph.add(operation(lambda values: None).new(name="after"), values=made)
    graph.add_dependency(writer, after)
    assert ExecutionEngine().run(graph).is_successful()
    result = ExecutionEngine(max_workers=1, debug=True).run(graph)
    assert result.get_state("writes") is OperationState.FAILED
    error = result.first_error.exception  # type: ignore[union-attr]
    assert isinstance(error, SharedValueChangedError)
    assert (error.operation, error.port, error.suspects) == ("writes", "values", ("writes",))
    assert str(error).startswith("load.result was changed after it was committed: writes wrote to it.")


def test_nothing_is_found_where_nobody_writes() -> None:
    graph = GraphDefinition()
    for make, _ in WRITERS:
        made = graph.add(make)
        for _ in range(2):
            graph.add(lambda values: len(repr(values)), values=made)
    for workers in (1, 4):
        result = ExecutionEngine(max_workers=workers, debug=True).run(graph, retain="all")
        assert result.is_successful(), result.get_error_message()
        assert result.warnings == []


def test_a_write_through_a_reference_that_was_left_behind_is_found_at_the_next_consumer() -> None:
    kept: list[Any] = []

    def load() -> np.ndarray:
        memory = bytearray(8 * 4)
        kept.append(memory)
        return np.frombuffer(memory)

    graph = GraphDefinition()
    loaded = graph.add(load)
    culprit = graph.add(operation(lambda: kept[-1].__setitem__(0, 1)).new(name="elsewhere"))
    graph.add_dependency(loaded, culprit)
    reader = graph.add(operation(lambda values: values.sum()).new(name="reader"), values=loaded)
    graph.add_dependency(culprit, reader)
    result = ExecutionEngine(max_workers=1, debug=True).run(graph)
    assert result.get_state(reader) is OperationState.FAILED
    message = result.first_error.message  # type: ignore[union-attr]
    assert "load.result was changed after it was committed, before reader received it" in message
    assert "a reference that load left behind" in message
    assert "elsewhere" in message


def test_a_write_after_the_last_consumer_is_found_at_the_end_of_the_run() -> None:
    kept: list[Any] = []

    def load() -> list[int]:
        kept.append([1, 2])
        return kept[-1]

    graph = GraphDefinition()
    loaded = graph.add(load)
    late = graph.add(operation(lambda: kept[-1].append(3)).new(name="late"))
    graph.add_dependency(loaded, late)
    result = ExecutionEngine(max_workers=1, debug=True).run(graph)
    assert result.state is RunState.FAILED
    assert not result.is_successful()
    [error] = result.errors
    assert isinstance(error.exception, SharedValueChangedError)
    assert "load.result was changed after it was committed" in str(result.get_error_message())


def test_operations_that_had_it_at_the_same_time_are_all_named() -> None:
    both, written = threading.Barrier(2), threading.Event()

    def writer(values: list[int]) -> None:
        both.wait(10)
        values.append(1)
        written.set()

    def bystander(values: list[int]) -> None:
        both.wait(10)
        await_event(written)

    graph = GraphDefinition()
    shared = graph.add(operation(lambda: [0]).new(name="load"))
    graph.add(writer, values=shared)
    graph.add(bystander, values=shared)
    result = ExecutionEngine(max_workers=2, debug=True, failure_policy="continue").run(graph)
    for error in result.errors:
        assert isinstance(error.exception, SharedValueChangedError)
        assert "writer" in error.exception.suspects
        assert set(error.exception.suspects) <= {"writer", "bystander"}
    assert result.get_state("writer") is OperationState.FAILED


def test_a_coroutine_that_writes_is_found() -> None:
    async def write(values: list[int]) -> None:
        await asyncio.sleep(0)
        values.append(1)

    graph = GraphDefinition()
    graph.add(write, values=graph.add(lambda: [0]))
    result = ExecutionEngine(debug=True).run(graph)
    assert result.first_error.exception.operation == "write"  # type: ignore[union-attr]


def test_a_failed_attempt_that_wrote_is_found_and_not_retried() -> None:
    attempts: list[int] = []

    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def write(values: list[int]) -> None:
        attempts.append(1)
        values.append(1)
        raise OSError("afterwards")

    graph = GraphDefinition()
    graph.add(write, values=graph.add(lambda: [0]))
    result = ExecutionEngine(debug=True).run(graph)
    error = result.first_error.exception  # type: ignore[union-attr]
    assert isinstance(error, SharedValueChangedError)
    assert isinstance(error.__cause__, OSError)
    assert attempts == [1]


def test_an_item_of_a_map_that_writes_to_what_all_items_share_is_found() -> None:
    def write(number: int, common: list[int]) -> None:
        if number == 3:
            common.append(number)

    graph = GraphDefinition()
    graph.map(write, over={"number": range(5)}, common=graph.add(lambda: [0]))
    result = ExecutionEngine(max_workers=1, debug=True).run(graph)
    assert "write[3] wrote to it" in str(result.get_error_message())


def test_an_input_that_may_be_written_may_be_written() -> None:
    class Write(Operation):
        values = InputPort(np.ndarray, mutable=True)
        total = OutputPort(float)

        def execute(self, context: ExecutionContext) -> None:
            self.values[:] = 2
            self.total = float(self.values.sum())

    graph = GraphDefinition()
    made = graph.add(lambda: np.ones(3))
    written = [graph.add(Write(), values=made) for _ in range(2)]
    result = ExecutionEngine(debug=True).run(graph)
    assert result.is_successful(), result.get_error_message()
    assert [result.get_output(each) for each in written] == [6.0, 6.0]


def test_what_an_operation_writes_to_itself_is_a_warning() -> None:
    class Counts(Operation):
        value = OutputPort(int)

        def __init__(self) -> None:
            super().__init__()
            self.seen = [0]
            self.steady = {"a": 1}

        def execute(self, context: ExecutionContext) -> None:
            self.calls = 1
            self.seen.append(1)
            self.value = 1

    graph = GraphDefinition()
    graph.add(Counts())
    result = ExecutionEngine(debug=True).run(graph)
    assert result.is_successful()
    assert [text.split(" while")[0] for text in result.warnings] == [
        "Counts wrote to self.calls",
        "Counts wrote to self.seen",
    ]
    assert ExecutionEngine().run(graph).warnings == []


def test_a_broken_promise_of_a_fresh_array_is_found() -> None:
    class Keeps(Operation):
        values = OutputPort(np.ndarray, fresh=True)

        def execute(self, context: ExecutionContext) -> None:
            self.memory = np.zeros(10)
            self.values = self.memory[2:5]

    graph = GraphDefinition()
    graph.add(lambda values: None, values=graph.add(Keeps()))
    result = ExecutionEngine(debug=True).run(graph)
    assert "Keeps promises a fresh array in 'values', and self.memory shares its memory" in str(
        result.get_error_message()
    )


def test_debug_changes_nothing_about_the_results() -> None:
    graph = GraphDefinition()
    low_high = operation(outputs=("low", "high"))(lambda values: (values.min(), values.max()))
    ends = graph.add(low_high, values=graph.add(lambda: np.arange(5)))
    doubled = graph.add(lambda low, high: (low, 2 * high), low=ends["low"], high=ends["high"])
    plain, watched = (ExecutionEngine(debug=debug).run(graph) for debug in (False, True))
    assert plain.get_output(doubled) == watched.get_output(doubled) == (0, 8)
    assert plain.states == watched.states


def test_debug_is_true_or_false() -> None:
    with pytest.raises(TypeError, match="debug is True or False"):
        ExecutionEngine(debug=1)  # type: ignore[arg-type]


def test_a_fingerprint_is_of_what_can_change_only() -> None:
    for value in (1, "text", b"bytes", None, (1, "a"), frozenset({1})):
        assert fingerprint(value) is None
    values = np.arange(12).reshape(3, 4)
    assert fingerprint(values) == fingerprint(np.asfortranarray(values))
    assert fingerprint(values[::2]) != fingerprint(values[::1])
    assert fingerprint(np.zeros(0)) is not None
    assert fingerprint(np.zeros(2, dtype=[("a", "i4"), ("b", object)])) is not None
    cycle: list[Any] = []
    cycle.append(cycle)
    assert fingerprint(cycle) == fingerprint(cycle)


def test_a_run_that_was_watched_leaves_nothing_behind() -> None:
    def write(values: list[int]) -> None:
        values.append(1)

    graph = GraphDefinition()
    graph.add(write, values=graph.add(lambda: [0]))
    graph.add(lambda: 1 / 0)
    with ExecutionEngine(debug=True, failure_policy="continue") as engine:
        result = engine.run(graph)
    assert len(result.errors) == 2
    record = weakref.ref(result._record)
    del result
    gc.collect()
    assert record() is None


def test_writes_through_a_foreign_pointer_into_arrow_buffers_are_seen() -> None:
    arrow = pytest.importorskip("pyarrow")
    memory = bytearray(np.arange(4.0).tobytes())
    column = arrow.Array.from_buffers(arrow.float64(), 4, [None, arrow.py_buffer(memory)])
    table = arrow.table({"a": column, "b": ["x", None, "y", "z"]})
    for value in (column, table, table.slice(0, 2), arrow.chunked_array([column]), table.to_batches()[0]):
        before = fingerprint(value)
        assert before == fingerprint(value)
        memory[0] ^= 1
        assert fingerprint(value) != before, type(value)

"""`graph.map`: where items come from, what they see, and how their results are gathered."""

from __future__ import annotations

import array
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    PortError,
    ValueTypeError,
    mapped,
    operation,
)


def square(x: int) -> int:
    return x * x


def add(x: int, y: int = 100) -> int:
    return x + y


def run(graph: GraphDefinition, workers: int = 1, **options: Any) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers) as engine:
        return engine.run(graph, **options)


def mapped_over(function: Any, over: Any, workers: int = 1, **options: Any) -> Any:
    graph = GraphDefinition()
    node = graph.map(function, over=over, **options)
    result = run(graph, workers)
    result.raise_if_failed()
    return result.get_output(node)


class Rows:
    """Iterates from the start each time, and has no length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


class Labelled:
    """Has a length and an index by label, as pandas does: 0 is no position."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, label: str) -> int:
        return {"a": 1, "b": 2, "c": 3}[label]

    def __iter__(self) -> Iterator[int]:
        return iter((1, 2, 3))


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    "source",
    [
        list(range(1000)),
        tuple(range(50)),
        range(3, 40, 3),
        np.arange(20),
        deque(range(30)),
        array.array("l", range(9)),
        Rows(500),
        Labelled(),
        {7},
        (x for x in range(0)),
        [],
    ],
    ids=lambda source: type(source).__name__,
)
def test_results_are_those_of_a_list_comprehension_in_the_order_of_the_items(source: Any, workers: int) -> None:
    items = [] if hasattr(source, "__next__") else list(source)
    assert mapped_over(lambda x: x * x, source, workers) == [x * x for x in items]


def test_items_may_come_from_upstream_and_a_reduction_may_follow() -> None:
    @operation
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @operation
    def total(values: list[int]) -> int:
        return sum(values)

    graph = GraphDefinition()
    squares = graph.map(square, over=graph.add(numbers, count=10))
    added = graph.add(total, values=squares)
    result = run(graph)
    assert result.get_output(added) == 285


@pytest.mark.parametrize("workers", [1, 3])
def test_several_inputs_are_zipped_and_others_are_the_same_for_all(workers: int) -> None:
    def three(a: int, b: int, c: int = 5) -> tuple[int, int, int]:
        return a, b, c

    expected = [(a, b, 5) for a, b in zip(range(40), range(40, 80), strict=True)]
    assert mapped_over(three, {"a": range(40), "b": list(range(40, 80))}, workers) == expected
    assert mapped_over(three, {"a": Rows(40), "b": list(range(40, 80))}, workers) == expected
    assert mapped_over(three, {"a": range(2)}, b=7, c=8) == [(0, 7, 8), (1, 7, 8)]


def test_a_shared_input_may_come_from_upstream_and_is_the_identical_object() -> None:
    marker = object()
    seen = []

    def note(x: int, shared: object) -> None:
        seen.append(shared)

    graph = GraphDefinition()
    graph.map(note, over={"x": range(3)}, shared=graph.add(operation(lambda: marker)))
    run(graph).raise_if_failed()
    assert [value is marker for value in seen] == [True] * 3


def test_the_one_required_input_is_mapped_over_by_default() -> None:
    assert mapped_over(add, [1, 2]) == [101, 102]
    assert mapped_over(add, [1, 2], x=1) == [2, 3]


def test_zipped_inputs_of_different_lengths_fail_by_name() -> None:
    for source in (range(4), Rows(4)):
        graph = GraphDefinition()
        graph.map(add, over={"x": range(3), "y": source})
        message = run(graph).get_error_message()
        assert message is not None
        assert all(part in message for part in ('"x"', '"y"', "3")), message


def test_arrays_are_mapped_over_along_their_first_axis_without_a_copy() -> None:
    table = np.arange(12.0).reshape(4, 3)
    rows = mapped_over(lambda row: row, table)
    assert [row.tolist() for row in rows] == table.tolist()
    assert all(np.shares_memory(row, table) for row in rows)


def test_items_of_an_array_from_upstream_are_read_only_views() -> None:
    @operation
    def table() -> np.ndarray:
        return np.zeros((3, 2))

    def write(row: np.ndarray) -> None:
        row[0] = 1

    graph = GraphDefinition()
    graph.map(write, over=graph.add(table))
    message = run(graph).get_error_message()
    assert message is not None
    assert "write[0] failed" in message
    assert "read-only" in message


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("source", [range(100), Rows(100)], ids=["sized", "open"])
def test_stack_puts_results_into_one_array(source: Any, workers: int) -> None:
    scalars = mapped_over(lambda x: x / 2, source, workers, stack=True)
    assert isinstance(scalars, np.ndarray)
    assert scalars.dtype == np.float64
    assert scalars.tolist() == [x / 2 for x in range(100)]
    rows = mapped_over(lambda x: np.full((2, 3), x, np.int16), source, workers, stack=True)
    assert rows.shape == (100, 2, 3)
    assert rows.dtype == np.int16
    assert rows[:, 1, 2].tolist() == list(range(100))


@pytest.mark.parametrize("source", [range(3), Rows(3)], ids=["sized", "open"])
def test_stack_puts_objects_themselves_into_the_array(source: Any) -> None:
    objects = [Decimal(1), None, {"a": 1}]
    stacked = mapped_over(lambda x: objects[x], source, stack=True)
    assert (stacked.shape, stacked.dtype) == ((3,), np.dtype(object))
    assert all(item is own for item, own in zip(stacked, objects, strict=True))


@pytest.mark.parametrize("source", [range(3), Rows(3)], ids=["sized", "open"])
@pytest.mark.parametrize("odd", [np.zeros(2), np.zeros(3, np.float32), 1.0, np.zeros((1, 3))], ids=repr)
def test_stack_names_the_item_whose_result_does_not_fit(source: Any, odd: Any) -> None:
    graph = GraphDefinition()
    node = graph.map(lambda x: odd if x == 2 else np.zeros(3), over=source, stack=True, name="rows")
    result = run(graph)
    message = result.get_error_message()
    assert message is not None
    assert "2" in message
    assert "stack" in message
    assert "shape" in message
    assert not result.is_successful()
    assert result.get_state(node).name == "FAILED"


def test_an_empty_source_gives_an_empty_result() -> None:
    assert mapped_over(square, []) == []
    assert mapped_over(square, iter(())) == []
    assert mapped_over(square, [], stack=True).shape == (0,)
    assert mapped_over(mapped(add, over="y"), {"x": []}, y=[1]) == []


def test_an_iterator_serves_one_run_and_the_next_one_is_told() -> None:
    graph = GraphDefinition()
    node = graph.map(square, over=(x for x in range(3)))
    assert run(graph).get_output(node) == [0, 1, 4]
    message = run(graph).get_error_message()
    assert message is not None
    assert "used up" in message
    assert "__iter__" in message


def test_a_source_that_raises_fails_the_map_with_its_own_exception() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    graph = GraphDefinition()
    graph.map(square, over=broken())
    error = run(graph).first_error
    assert error is not None
    assert isinstance(error.exception, OSError)
    assert error.operation == "square"


def test_every_output_is_gathered() -> None:
    split = operation(lambda x: (x // 2, x % 2), outputs=("half", "rest"))

    class Halve(Operation):
        x = InputPort(int)
        half = OutputPort(int)
        rest = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.half, self.rest = divmod(self.x, 2)

    for item in (split, Halve()):
        graph = GraphDefinition()
        node = graph.map(item, over=range(5))
        result = run(graph)
        assert result.get_output(node, "half") == [0, 0, 1, 1, 2]
        assert result.get_output(node, "rest") == [0, 1, 0, 1, 0]


def test_inputs_and_outputs_of_items_are_checked() -> None:
    graph = GraphDefinition()
    graph.map(square, over=[1, "two"])
    error = run(graph).first_error
    assert error is not None
    assert isinstance(error.exception.__cause__, ValueTypeError)
    assert "square[1] failed" in error.message
    assert 'input "x"' in error.message

    def wrong(x: int) -> str:
        return x  # type: ignore[return-value]

    graph = GraphDefinition()
    graph.map(wrong, over=[1])
    message = run(graph).get_error_message()
    assert message is not None
    assert "wrong[0] failed" in message
    assert 'output "result"' in message


def test_an_operation_that_sets_no_output_fails_by_index() -> None:
    class Forgets(Operation):
        x = InputPort(int)
        y = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            if self.x != 1:
                self.y = self.x

    graph = GraphDefinition()
    graph.map(Forgets(), over=range(3))
    message = run(graph).get_error_message()
    assert message is not None
    assert "Forgets[1] failed: OutputNotSetError" in message


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("outer", [range(30), Rows(30)], ids=["sized", "open"])
def test_maps_nest(outer: Any, workers: int) -> None:
    table = mapped_over(mapped(add, over="y"), {"x": outer}, workers, y=list(range(20)))
    assert table == [[x + y for y in range(20)] for x in range(30)]


def test_three_levels_of_maps_name_their_items() -> None:
    names = []

    def note(x: int, context: ExecutionContext) -> int:
        names.append(context.operation_name)
        return x

    cube = [[[1, 2], [3]], [[4]]]
    graph = GraphDefinition()
    node = graph.map(mapped(mapped(note, over="x"), over="x"), over=cube)
    assert run(graph).get_output(node) == cube
    assert sorted(names) == ["note[0][0][0]", "note[0][0][1]", "note[0][1][0]", "note[1][0][0]"]


def test_every_item_has_a_random_stream_of_its_own() -> None:
    def draw(x: int, context: ExecutionContext) -> tuple[float, float, int]:
        return context.rng().random(), context.random().random(), context.rng() is context.rng()

    def drawn(workers: int, context: ExecutionContext) -> list[tuple[float, float, int]]:
        graph = GraphDefinition()
        node = graph.map(draw, over=range(200))
        with ExecutionEngine(max_workers=workers) as engine:
            values: list[tuple[float, float, int]] = engine.run(graph, context).get_output(node)
        return values

    first, again = drawn(1, ExecutionContext(seed=7)), drawn(4, ExecutionContext(seed=7))
    assert first == again
    assert len({value for value, _, _ in first}) == 200
    assert len({value for _, value, _ in first}) == 200
    assert all(same for _, _, same in first)


def test_context_variables_of_one_item_are_not_seen_by_another() -> None:
    from contextvars import ContextVar

    variable: ContextVar[int] = ContextVar("variable", default=-1)

    def change(x: int) -> int:
        before = variable.get()
        variable.set(x)
        return before

    assert mapped_over(change, range(50)) == [-1] * 50


def test_the_logger_names_the_item(caplog: pytest.LogCaptureFixture) -> None:
    def log(x: int, context: ExecutionContext) -> None:
        context.logger.warning("here")

    mapped_over(log, range(2))
    assert [getattr(record, "operation", None) for record in caplog.records] == ["log[0]", "log[1]"]


def test_one_operation_may_be_mapped_in_several_graphs_and_runs_at_once() -> None:
    item = operation(square).new()
    graphs = [GraphDefinition(f"graph {number}") for number in range(2)]
    nodes = [graph.map(item, over=range(100)) for graph in graphs]
    with ExecutionEngine(max_workers=2) as engine:
        handles = [(engine.submit(graph), node) for graph, node in zip(graphs, nodes, strict=True) for _ in range(3)]
        for handle, node in handles:
            assert handle.result().get_output(node) == [x * x for x in range(100)]


def test_a_skipped_source_skips_the_map() -> None:
    class Maybe(Operation):
        items = OutputPort(list, optional=True)

        def execute(self, context: ExecutionContext) -> None:
            pass

    graph = GraphDefinition()
    node = graph.map(square, over=graph.add(Maybe()))
    assert run(graph).get_state(node).name == "SKIPPED"


def test_a_value_that_has_no_items_fails_the_map_when_it_comes() -> None:
    for value in ("text", 5, {"a": 1}, np.float64(1.0), np.zeros(())):
        graph = GraphDefinition()
        graph.map(lambda x: x, over=graph.add(operation(lambda value=value: value)), name="mapping")
        message = run(graph).get_error_message()
        assert message is not None
        assert "'x'" in message, message
        assert "give" in message, message


def test_a_wrong_mapping_is_refused_when_it_is_added() -> None:
    graph = GraphDefinition()
    with pytest.raises(PortError, match="several inputs"):
        graph.map(lambda a, b: a, over=[1])

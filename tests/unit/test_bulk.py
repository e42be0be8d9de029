"""Many operations and channels in one call: what columns mean (rules G1, G2, G3, G5)."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np
import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine
from execution_dataflow.functions import FunctionOperation, operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operation_arrays import OperationArray
from execution_dataflow.operations import Operation
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort


@operation
def double(x: int) -> int:
    return 2 * x


@operation
def add(x: int, y: int = 0) -> int:
    return x + y


@operation(outputs=("low", "high"))
def limits(values: list[int]) -> tuple[int, int]:
    return min(values), max(values)


class Increase(Operation):
    x = InputPort(int)
    by = InputPort(int, default=1)
    y = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.y = self.x + self.by


class Total(Operation):
    parts = InputPort(int, many=True)
    total = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.total = sum(self.parts)


def outputs(graph: GraphDefinition, operations: OperationArray[Any], port: str = "result") -> list[Any]:
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph, ExecutionContext(), retain="all")
    result.raise_if_failed()
    return [result.get_output(each, port) for each in operations]


@pytest.mark.parametrize(
    "column",
    [[1, 2, 3], (1, 2, 3), range(1, 4), np.array([1, 2, 3]), np.array([1, 2, 3], dtype=object), iter([1, 2, 3])],
    ids=lambda column: type(column).__name__,
)
def test_a_column_gives_each_row_a_constant(column: Any) -> None:
    graph = GraphDefinition()
    made = graph.add_many(double, x=column)
    assert graph.operations == tuple(made)
    assert all(type(each) is FunctionOperation for each in made)
    assert outputs(graph, made) == [2, 4, 6]


def test_one_value_is_the_same_for_all_rows() -> None:
    graph = GraphDefinition()
    one = graph.add(double, x=5)
    made = graph.add_many(add, 3, x=one, y=100)
    assert outputs(graph, made) == [110, 110, 110]


@pytest.mark.parametrize("source", [0, 1])
def test_a_repeated_sequence_is_one_constant(source: int) -> None:
    graph = GraphDefinition()
    values = repeat([3, 1, 2]) if source else iter([[3, 1, 2], [3, 1, 2]])
    made = graph.add_many(limits, 2, values=values)
    assert outputs(graph, made, "high") == [3, 3]


def test_rows_of_an_array_of_several_axes_are_views() -> None:
    @operation
    def first(row: np.ndarray) -> float:
        return float(row[0])

    table = np.arange(6.0).reshape(3, 2)
    graph = GraphDefinition()
    assert outputs(graph, graph.add_many(first, row=table)) == [0.0, 2.0, 4.0]


def test_operations_feed_operations_row_by_row() -> None:
    graph = GraphDefinition()
    first = graph.add_many(double, x=range(5))
    second = graph.add_many(add, x=first[1:], y=first[:-1])
    last = graph.add_many(Increase, x=second[::-1], by=[10, 20, 30, 40])
    assert outputs(graph, last, "y") == [14 + 10, 10 + 20, 6 + 30, 2 + 40]
    assert len(graph.channels) == 12


def test_positions_and_masks_select_operations() -> None:
    graph = GraphDefinition()
    first = graph.add_many(double, x=range(4))
    picked = [
        first[np.array([3, 3, 0])],
        first[[3, 3, 0]],
        first[np.array([True, False, False, True])],
        first[[]],
        first[-1:],
    ]
    assert [[first.nodes[graph.operations.index(each)] for each in some] for some in picked] == [
        [3, 3, 0],
        [3, 3, 0],
        [0, 3],
        [],
        [3],
    ]
    second = graph.add_many(double, x=picked[0])
    assert outputs(graph, second) == [12, 12, 0]


def test_lists_and_object_arrays_of_operations_are_columns_too() -> None:
    graph = GraphDefinition()
    one, two = graph.add(double, x=1), graph.add(double, x=2)
    made = graph.add_many(add, x=[two, one], y=np.array([one, two], dtype=object))
    mixed = graph.add_many(add, x=[two, 7, one["result"]])
    assert outputs(graph, made) == [6, 6]
    assert outputs(graph, mixed) == [4, 7, 2]


def test_one_of_several_outputs_is_asked_for_by_name() -> None:
    graph = GraphDefinition()
    made = graph.add_many(limits, values=[[1, 2], [3, 4]])
    assert outputs(graph, graph.add_many(add, x=made["high"], y=made.output("low"))) == [3, 7]
    assert outputs(graph, graph.add_many(double, x=made["high"][[1]])) == [8]
    assert made["low"][1] == made[1]["low"]


def test_a_many_port_takes_a_list_for_each_row() -> None:
    """G5."""
    graph = GraphDefinition()
    first = graph.add_many(double, x=range(4))
    totals = graph.add_many(Total, parts=[list(first[:2]), [], [first[3], 5]][::2])
    assert outputs(graph, totals, "total") == [2, 11]


def test_operations_that_exist_are_added_in_their_order() -> None:
    graph = GraphDefinition()
    given: list[Operation] = [Increase(), double.new(name="mine"), Increase(priority=2)]
    made = graph.add_many(given, x=range(3))
    assert list(made) == given
    assert graph.compile().names == ("Increase", "mine", "Increase_2")
    assert [each in graph for each in given] == [True] * 3


def test_options_of_a_function_are_those_of_each_row() -> None:
    graph = GraphDefinition()
    patient = operation(retry_policy=RetryPolicy(max_attempts=4))(lambda x: x)
    made = graph.add_many(patient, x=[1, 2])
    assert [each.retry_policy.max_attempts for each in made] == [4, 4]
    assert [spec.max_attempts for spec in graph.compile().specs] == [4]


def test_a_plain_function_is_one_kind_of_operation() -> None:
    def plain(x: int) -> int:
        return x

    graph = GraphDefinition()
    graph.add_many(plain, x=[1, 2])
    graph.add(plain, x=3)
    assert graph.compile().names == ("plain", "plain_2", "plain_3")
    assert len(graph.compile().specs) == 1


def test_no_rows_are_no_mistake() -> None:
    graph = GraphDefinition()
    for none in (graph.add_many(double, 0), graph.add_many(double, x=[]), graph.add_many([])):
        assert (len(none), list(none)) == (0, [])
    graph.connect_many(none, "result", none, "x")
    graph.connect_many([], "nothing", [], "nothing")
    assert len(graph) == 0


def test_ports_are_frozen_by_add_many_too() -> None:
    """G1."""
    graph = GraphDefinition()
    given = [Increase()]
    graph.add_many(given, x=1)
    with pytest.raises(ValueError, match="part of a graph already"):
        given[0].add_input_port("late", int)


def test_bulk_and_single_building_make_the_same_graph() -> None:
    def edges(graph: GraphDefinition) -> list[tuple[int, str, int, str]]:
        index = {id(each): place for place, each in enumerate(graph.operations)}
        return sorted((index[id(a)], output, index[id(b)], into) for a, output, b, into in graph.channels)

    rows, columns = 6, 5
    single, bulk, linked = GraphDefinition(), GraphDefinition(), GraphDefinition()
    layer: list[Any] = [single.add(double, x=number) for number in range(columns)]
    for _ in range(rows):
        layer = [single.add(add, x=layer[place], y=layer[place - 1]) for place in range(columns)]
    made = bulk.add_many(double, x=range(columns))
    for _ in range(rows):
        made = bulk.add_many(add, x=made, y=made[np.arange(columns) - 1])
    linked.add_many(double, x=range(columns))
    later = linked.add_many(add, rows * columns)
    everything = OperationArray(later._builder, range(columns * (rows + 1)))
    linked.connect_many(everything[:-columns], "result", later, "x")
    places = np.arange(rows * columns).reshape(rows, columns)
    linked.connect_many(everything[np.roll(places, 1, axis=1).ravel()], "result", later, "y")
    assert edges(single) == edges(bulk) == edges(linked)
    assert outputs(single, layer) == outputs(bulk, made) == outputs(linked, later[-columns:])  # type: ignore[arg-type]


# connect_many


def test_one_source_feeds_all_targets_and_all_sources_one_many_port() -> None:
    graph = GraphDefinition()
    one = graph.add(double, x=1)
    layer = graph.add_many(double, 3)
    graph.connect_many(one, "result", layer, "x")
    total = graph.add_operation(Total())
    graph.connect_many(layer[::-1], "result", total, "parts")
    graph.connect_many(one, "result", total, "parts")
    assert [channel.source_operation for channel in graph.channels[3:]] == [*layer[::-1], one]
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph, ExecutionContext()).get_output(total, "total") == 3 * 4 + 2


def test_sources_and_targets_may_be_of_several_classes() -> None:
    class Other(Operation):
        x = InputPort(int)
        first = OutputPort(str)
        y = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.first, self.y = "", self.x * 10

    graph = GraphDefinition()
    sources = graph.add_many([Increase(), Other(), Increase()], x=[1, 2, 3])
    targets = graph.add_many([Other(), Increase(), Increase()])
    graph.connect_many(list(sources), "y", targets, "x")
    assert outputs(graph, targets, "y") == [20, 21, 5]


def test_an_array_of_operations_is_a_sequence() -> None:
    graph = GraphDefinition()
    made = graph.add_many(double, x=range(4))
    assert (len(made), made[-1] in made, made[-1] in made[:2], double.new() in made) == (4, True, False, False)
    assert made[1:3] == made[[1, 2]]
    assert made != list(made)
    assert list(reversed(made)) == list(made[::-1])
    assert made.index(made[2]) == 2
    assert (repr(made), repr(made["result"])) == (
        "<OperationArray: 4 operations>",
        "<OutputArray: 'result' of 4 operations>",
    )
    assert made[np.int64(1)] is made[1]
    for wrong in (4, -5):
        with pytest.raises(IndexError):
            made[wrong]
    with pytest.raises(TypeError, match="selected by"):
        made[[0.5]]
    with pytest.raises(TypeError, match="selected by"):
        made[np.array([[0]])]

"""`graph.map` and `mapped`: what is wrong with a map is said when it is added."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    GraphValidationError,
    InputPort,
    MappedOperation,
    Operation,
    OutputPort,
    PortError,
    PortTypeError,
    RetryPolicy,
    UnknownOperationError,
    UnknownPortError,
    mapped,
    operation,
)


@operation
def add(x: int, y: int = 1) -> int:
    return x + y


class Writes(Operation):
    array = InputPort(np.ndarray, mutable=True)
    done = OutputPort(bool)

    def execute(self, context: ExecutionContext) -> None:
        self.done = True


class Joins(Operation):
    parts = InputPort(int, many=True)
    other = InputPort(int, default=0)
    total = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.total = sum(self.parts) + self.other


class Sometimes(Operation):
    x = InputPort(int)
    y = OutputPort(int, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        pass


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"over": {"z": [1]}}, UnknownPortError, "no input port 'z'"),
        ({"over": {}}, PortError, "nothing to map add over"),
        ({"over": [1], "x": 1, "y": 2}, PortError, "nothing to map add over"),
        ({"over": {"x": [1]}, "x": 3}, PortError, "both in over= and as a keyword"),
        ({"over": [1], "z": 3}, UnknownPortError, "no input port 'z'"),
        ({"over": [1], "y": "text"}, PortTypeError, "add.y"),
        ({"over": "text"}, PortError, "a str; give a list of strings"),
        ({"over": b"data"}, PortError, "bytes; give a list"),
        ({"over": {"x": {"a": 1}}}, PortError, "values"),
        ({"over": 5}, PortError, "no items"),
        ({"over": np.zeros(())}, PortError, "no items"),
        ({"over": [1], "max_concurrency": 0}, GraphError, "1 or more, not 0"),
        ({"over": [1], "max_concurrency": True}, TypeError, "must be an int"),
        ({"over": [1], "max_concurrency": 2.0}, TypeError, "must be an int"),
        ({"over": [1], "on_error": "ignore"}, GraphError, "'fail' or 'keep'"),
        ({"over": [1], "stack": 1}, TypeError, "True or False"),
        ({"over": [1], "stack": True, "on_error": "keep"}, GraphError, "no place for an ItemFailure"),
        ({"over": [1], "name": ""}, GraphError, "must not be empty"),
        ({"over": add.new()}, UnknownOperationError, "add"),
    ],
)
def test_bad_arguments_are_refused_and_leave_the_graph_as_it_was(arguments: Any, kind: type, text: str) -> None:
    graph = GraphDefinition()
    with pytest.raises(kind, match=text):
        graph.map(add, **arguments)
    assert len(graph) == 0


@pytest.mark.parametrize(
    ("item", "over", "text"),
    [
        (Writes(), [np.zeros(1)], "mutable=True"),
        (Joins(), {"parts": [1]}, "takes a list of sources"),
        (Sometimes(), [1], "optional, and every item needs a result"),
        (Operation(), [1], "does nothing"),
    ],
)
def test_operations_that_cannot_be_mapped_are_refused_with_advice(item: Operation, over: Any, text: str) -> None:
    with pytest.raises(GraphError, match=text):
        GraphDefinition().map(item, over={"x": over} if type(item) is Operation else over)


def test_a_class_is_no_operation() -> None:
    with pytest.raises(TypeError):
        GraphDefinition().map(Joins, over=[1])  # type: ignore[call-overload, unused-ignore]


def test_an_input_that_takes_many_may_be_the_same_for_all_items() -> None:
    graph = GraphDefinition()
    sources = [graph.add(operation(lambda value=value: value)) for value in (1, 2)]
    node = graph.map(Joins(), over={"other": [10, 20]}, parts=sources)
    assert ExecutionEngine().run(graph).get_output(node) == [13, 23]


def test_a_map_is_named_after_its_operation_unless_it_is_told_otherwise() -> None:
    graph = GraphDefinition()
    graph.map(add, over=[1])
    graph.map(add.new(name="plus"), over=[1])
    graph.map(add, over=[1], name="sums")
    assert graph.compile().names == ("add", "plus", "sums")


def test_a_map_has_the_ports_of_its_operation_with_lists_as_outputs() -> None:
    made = mapped(add, over="x")
    assert repr(made.ports) == "<ports of add: (x: Any, y: int) -> (result: list[int])>"
    assert mapped(add, over="x", stack=True).ports.outputs[0][1].data_type is np.ndarray
    assert mapped(add, over="x", on_error="keep").ports.outputs[0][1].data_type is list


def test_a_list_of_results_is_checked_against_the_input_that_it_feeds() -> None:
    @operation
    def join(words: list[str]) -> str:
        return "".join(words)

    graph = GraphDefinition()
    with pytest.raises(PortTypeError):
        graph.add(join, words=graph.map(add, over=[1]))


def test_a_mapped_operation_can_be_added_like_any_other() -> None:
    graph = GraphDefinition()
    node = graph.add(mapped(add, over=["x", "y"]), x=[1, 2], y=[3, 4])
    assert isinstance(node, MappedOperation)
    assert ExecutionEngine().run(graph).get_output(node) == [4, 6]


def test_a_required_input_without_a_source_is_a_fault_of_the_graph() -> None:
    graph = GraphDefinition()
    graph.add_operation(mapped(add, over="x"))
    with pytest.raises(GraphValidationError, match=r"add\.x|'x'"):
        graph.validate()


def test_the_retry_policy_of_the_item_is_read_when_the_graph_is_compiled() -> None:
    failures = []

    def flaky(x: int, context: ExecutionContext) -> int:
        if context.attempt == 1:
            failures.append(x)
            raise OSError("busy")
        return x

    graph = GraphDefinition()
    item = operation(flaky).new()
    node = graph.map(item, over=[1])
    assert not ExecutionEngine().run(graph).is_successful()
    item.retry_policy = RetryPolicy(max_attempts=2)
    graph.add(add, x=1)  # compiles again
    assert ExecutionEngine().run(graph).get_output(node) == [1]


def test_a_mapped_operation_pickles_and_copies() -> None:
    made = mapped(add, over="x", max_concurrency=2, name="sums")
    for other in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        graph = GraphDefinition()
        node = graph.add(other, x=[1, 2])
        assert ExecutionEngine().run(graph).get_output(node) == [2, 3]


def test_it_is_not_called_by_hand() -> None:
    with pytest.raises(GraphError, match="item by item"):
        mapped(add, over="x").execute(None)

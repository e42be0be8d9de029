"""What is wrong with a row or a column of a bulk call is said by name, and the graph stays as it was (rule G2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from execution_dataflow.errors import (
    ChannelError,
    DuplicateOperationError,
    GraphError,
    PortError,
    PortTypeError,
    UnknownOperationError,
    UnknownPortError,
)
from execution_dataflow.functions import operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.ports import InputPort, OutputPort


@operation
def double(x: int) -> int:
    return 2 * x


@operation
def text(x: int) -> str:
    return str(x)


class Clean(Operation):
    raw = InputPort(list)
    rows = OutputPort(list)
    rejected = OutputPort(list, optional=True)

    def execute(self, context: Any) -> None: ...


class Measure(Operation):
    array = InputPort(np.ndarray, dtype="float64")

    def execute(self, context: Any) -> None: ...


class Silent(Operation):
    def execute(self, context: Any) -> None: ...


def refused(graph: GraphDefinition, call: Callable[[], object], kind: type[Exception], match: str | None) -> str:
    """The call is refused, and the graph is what it was; returns the notes."""
    before = graph.operations, graph.channels, graph.compile()
    with pytest.raises(kind, match=match) as caught:
        call()
    assert (graph.operations, graph.channels) == before[:2]
    assert graph.compile() is before[2]
    return "\n".join(getattr(caught.value, "__notes__", []))


@pytest.fixture
def graph() -> GraphDefinition:
    graph = GraphDefinition("mine")
    graph.add_many(double, x=range(3))
    return graph


def test_columns_that_differ_in_length(graph: GraphDefinition) -> None:
    three = graph.operations
    text = r"differ in length: count 2, x= 3; .* given as itertools\.repeat\(sequence\)"
    refused(graph, lambda: graph.add_many(double, 2, x=[1, 2, 3]), ValueError, text)
    refused(graph, lambda: graph.add_many(double, x=three, y=[1]), ValueError, "x= 3, y= 1")
    refused(graph, lambda: graph.add_many([double.new()], x=three), ValueError, "the operations 1, x= 3")
    refused(graph, lambda: graph.add_many(double, x=np.zeros((2, 3)), y=range(3)), ValueError, "x= 2, y= 3")


def test_a_count_that_is_none(graph: GraphDefinition) -> None:
    refused(graph, lambda: graph.add_many(double), ValueError, "needs a count, or a column")
    refused(graph, lambda: graph.add_many(double, x=1), ValueError, "needs a count, or a column")
    refused(graph, lambda: graph.add_many(double, -1, x=1), ValueError, "cannot add -1 operations")
    for wrong in ("3", 3.0, True, [1, 2, 3]):
        refused(graph, lambda wrong=wrong: graph.add_many(double, wrong), TypeError, "count of add_many")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (3, "made of operations and functions, not of 3"),
        ("double", "not of 'double'"),
        (None, "not of None"),
        (Clean(), "is one operation; add it with add()"),
        (int, "int is a class"),
    ],
)
def test_what_is_no_operation(graph: GraphDefinition, given: Any, match: str) -> None:
    refused(graph, lambda: graph.add_many(given, 2), TypeError, match)


def test_a_list_with_something_else_in_it(graph: GraphDefinition) -> None:
    notes = refused(graph, lambda: graph.add_many([double.new(), Clean], x=1), TypeError, r"Clean is a class")
    assert "at row 1 of add_many" in notes


def test_a_class_that_does_nothing(graph: GraphDefinition) -> None:
    class Idle(Operation): ...

    refused(graph, lambda: graph.add_many(Idle, 2), GraphError, "must define execute")


def test_a_port_that_does_not_exist(graph: GraphDefinition) -> None:
    refused(graph, lambda: graph.add_many(double, y=[1, 2]), UnknownPortError, "double has no input port 'y'")
    refused(graph, lambda: graph.add_many(double, 2, x=1, priority=3), UnknownPortError, "is an option")
    made = graph.operations
    call = lambda output, into: lambda: graph.connect_many(made[:2], output, made[1:], into)  # noqa: E731
    assert "at row 0 of connect_many" in refused(graph, call("reslt", "x"), UnknownPortError, "did you mean 'result'")
    refused(graph, call("result", "y"), UnknownPortError, "has no input port 'y'")
    refused(graph, call(3, "x"), UnknownPortError, "no output port '3'")


def test_a_constant_of_the_wrong_type_names_its_row(graph: GraphDefinition) -> None:
    """G3."""
    notes = refused(graph, lambda: graph.add_many(double, x=[1, 2, "3"]), PortTypeError, "expected int, got str")
    assert "at row 2 of x= in add_many()" in notes
    refused(graph, lambda: graph.add_many(double, 2, x=1.5), PortTypeError, "expected int, got float")
    arrays = [np.zeros(2), np.zeros(2, dtype=int)]
    notes = refused(graph, lambda: graph.add_many(Measure, array=arrays), PortTypeError, "dtype")
    assert "at row 1" in notes


def test_outputs_that_can_never_fit_name_their_row(graph: GraphDefinition) -> None:
    """G3."""
    words = graph.add_many(text, x=range(2))
    numbers = [*graph.operations[:2], *words]
    match = r"text\.result gives str, which can never fit double\.x"
    assert "at row 2" in refused(graph, lambda: graph.add_many(double, x=numbers), PortTypeError, match)
    refused(graph, lambda: graph.add_many(double, x=words), PortTypeError, match)
    refused(graph, lambda: graph.add_many(double, 3, x=words[0]), PortTypeError, match)


def test_connected_outputs_that_can_never_fit_name_their_row() -> None:
    """G3."""
    graph = GraphDefinition()
    sources = graph.add_many([double.new(), text.new()], x=1)
    targets = graph.add_many([Clean(), double.new()])
    with pytest.raises(PortTypeError, match=r"text\.result gives str, which can never fit double_2\.x") as caught:
        graph.connect_many(sources[::-1], "result", [targets[1], sources[0]], "x")
    assert "at row 0" in "".join(caught.value.__notes__)
    assert graph.channels == ()


def test_operations_of_another_graph(graph: GraphDefinition) -> None:
    other = GraphDefinition("other")
    foreign = other.add_many(text, x=range(3))
    mine = graph.operations
    match = "text is not an operation of mine"
    refused(graph, lambda: graph.add_many(double, x=foreign), UnknownOperationError, match)
    refused(graph, lambda: graph.add_many(double, x=foreign["result"]), UnknownOperationError, match)
    refused(graph, lambda: graph.add_many(double, 3, x=foreign[0]), UnknownOperationError, match)
    notes = refused(graph, lambda: graph.add_many(double, x=[mine[0], foreign[0]]), UnknownOperationError, match)
    assert "at row 1" in notes
    for sources, targets in ((foreign, mine), (mine, foreign), (list(foreign), mine), (foreign[0], mine)):
        call = lambda sources=sources, targets=targets: graph.connect_many(sources, "result", targets, "x")  # noqa: E731
        refused(graph, call, UnknownOperationError, match)  # type: ignore[arg-type]
    for wrong in (double, Clean, 3, "double"):
        refused(graph, lambda wrong=wrong: graph.connect_many(wrong, "result", mine, "x"), TypeError, None)  # type: ignore[misc]
    refused(graph, lambda: graph.connect_many([mine[0], 3], "result", mine[1:], "x"), TypeError, None)  # type: ignore[list-item]


def test_operations_that_are_there_already(graph: GraphDefinition) -> None:
    new = Clean()
    old = graph.operations[1]
    notes = refused(graph, lambda: graph.add_many([new, old]), DuplicateOperationError, "part of mine already")
    assert "at row 1" in notes
    again = lambda: graph.add_many([new, new], raw=[[], []])  # noqa: E731
    refused(graph, again, DuplicateOperationError, "Clean twice, again at row 1")
    assert new not in graph
    graph.add(new, raw=[])


def test_an_operation_with_several_outputs_must_say_which() -> None:
    graph = GraphDefinition()
    cleaned = graph.add_many(Clean, 2, raw=repeat([]))
    match = r"Clean has 2 outputs; say which: operation\['rows'\]"
    refused(graph, lambda: graph.add_many(Clean, raw=cleaned), PortError, match)
    refused(graph, lambda: graph.add_many(Clean, raw=cleaned["row"]), UnknownPortError, "did you mean 'rows'")
    silent = graph.add_many(Silent, 2)
    refused(graph, lambda: graph.add_many(Clean, raw=silent), PortError, "has no outputs")


def test_a_list_of_operations_needs_a_many_port(graph: GraphDefinition) -> None:
    pairs = [list(graph.operations[:2])]
    refused(graph, lambda: graph.add_many(double, x=pairs), PortError, "takes one source, not a list of operations")


def test_an_input_that_has_its_source(graph: GraphDefinition) -> None:
    made = graph.operations
    later = graph.add_many(double, 3)
    graph.connect(made[0], "result", later[1], "x")
    for first, second in ((0, 2),):
        with pytest.raises(ChannelError, match=r"double_5\.x is connected to double\.result already") as caught:
            graph.connect_many(made, "result", later, "x")
        assert "at row 1" in "".join(caught.value.__notes__)
        assert len(graph.channels) == 1
        with pytest.raises(ChannelError, match=r"double_4\.x is connected to double_2\.result already") as caught:
            graph.connect_many(made[1:], "result", later[[first, first]], "x")
        assert len(graph.channels) == 1
        graph.connect_many(made[0], "result", later[[first, second]], "x")
    match = "double is bound to a constant|double.x is bound to a constant already"
    refused(graph, lambda: graph.connect_many(later[0], "result", made, "x"), ChannelError, match)


def test_an_operation_that_would_feed_itself(graph: GraphDefinition) -> None:
    made = graph.operations
    call = lambda: graph.connect_many(made, "result", made, "x")  # noqa: E731
    assert "at row 0" in refused(graph, call, ChannelError, "cannot feed its own input 'x'")


def test_as_many_targets_as_sources(graph: GraphDefinition) -> None:
    made = graph.operations
    call = lambda: graph.connect_many(made, "result", made[:2], "x")  # noqa: E731
    refused(graph, call, ValueError, "3 sources and 2 targets")


def test_a_constructor_that_raises_leaves_the_graph(graph: GraphDefinition) -> None:
    class Broken(Operation):
        def __init__(self) -> None:
            raise RuntimeError("not today")

        def execute(self, context: Any) -> None: ...

    refused(graph, lambda: graph.add_many(Broken, 2), RuntimeError, "not today")
    refused(graph, lambda: graph.add_many(Clean, 2, raw=(1 // 0 for _ in range(2))), ZeroDivisionError, None)


def test_a_mistake_in_a_later_column_leaves_the_ports_open(graph: GraphDefinition) -> None:
    given = [Clean(), Clean()]
    refused(graph, lambda: graph.add_many(given, raw=[[], 3]), PortTypeError, "expected list")
    given[0].add_input_port("late", int)

"""Graphs: building them, and the faults that one call can see (rules G2, G3, G5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from execution_dataflow.channels import DataChannel
from execution_dataflow.errors import (
    ChannelError,
    DuplicateOperationError,
    PortError,
    PortTypeError,
    UnknownOperationError,
    UnknownPortError,
)
from execution_dataflow.functions import operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort


class Extract(Operation):
    rows = OutputPort(list)

    def execute(self, context: Any) -> None: ...


class Clean(Operation):
    raw = InputPort(list)
    limit = InputPort(int, default=10)
    rows = OutputPort(list)
    rejected = OutputPort(list, optional=True)

    def execute(self, context: Any) -> None: ...


class Merge(Operation):
    parts = InputPort(int, many=True)
    total = OutputPort(int)

    def execute(self, context: Any) -> None: ...


@operation
def double(x: int) -> int:
    return 2 * x


@operation
def text(x: int) -> str:
    return str(x)


def test_the_brief_connects_ports_by_four_keywords() -> None:
    """G2: a DataChannel comes back."""
    graph = GraphDefinition()
    extract, clean = Extract(), Clean()
    assert graph.add_operation(extract) is extract
    graph.add_operation(clean)
    channel = graph.connect(
        source_operation=extract, source_port_name="rows", target_operation=clean, target_port_name="raw"
    )
    assert channel == DataChannel(extract, "rows", clean, "raw") == graph.channels[0]
    assert str(channel) == "Extract.rows -> Clean.raw"
    assert graph.operations == (extract, clean)
    assert (len(graph), extract in graph, Extract() in graph) == (2, True, False)
    with pytest.raises(AttributeError):
        channel.source_port_name = "other"  # type: ignore[misc]


def test_an_empty_graph_is_valid() -> None:
    """G2."""
    graph = GraphDefinition("nothing")
    assert bool(graph)
    assert len(graph.compile()) == 0
    assert repr(graph) == "<GraphDefinition 'nothing': 0 operations, 0 channels>"


def test_add_connects_upstream_operations_and_binds_constants() -> None:
    graph = GraphDefinition()
    extract = graph.add(Extract())
    clean = graph.add(Clean(), raw=extract, limit=3)
    again = graph.add(Clean(), raw=clean["rejected"])
    assert [str(channel) for channel in graph.channels] == ["Extract.rows -> Clean.raw", "Clean.rejected -> Clean.raw"]
    graph.compile()
    assert graph.operations == (extract, clean, again)


def test_a_many_port_takes_a_list_of_sources_and_constants() -> None:
    """G5: in the order of connection."""
    graph = GraphDefinition()
    one, two = graph.add(double, x=1), graph.add(double, x=2)
    merge = graph.add(Merge(), parts=[two, 5, one["result"]])
    graph.connect(one, "result", merge, "parts")
    graph.compile()
    assert [channel.source_operation for channel in graph.channels] == [two, one, one]
    single = graph.add(Merge(), parts=one)
    assert graph.channels[-1].target_operation is single


def test_each_function_that_is_added_is_a_node_of_its_own() -> None:
    graph = GraphDefinition()
    assert graph.add(double, x=1) is not graph.add(double, x=1)
    assert len(graph) == 2


# What one call can see (G2)


def test_an_unknown_port_is_named_with_the_nearest_one() -> None:
    """G2."""
    graph = GraphDefinition()
    extract, clean = graph.add(Extract()), graph.add_operation(Clean())
    with pytest.raises(UnknownPortError, match="Extract has no output port 'row'; did you mean 'rows'"):
        graph.connect(extract, "row", clean, "raw")
    with pytest.raises(UnknownPortError, match="Clean has no input port 'rwa'; did you mean 'raw'") as caught:
        graph.connect(extract, "rows", clean, "rwa")
    assert caught.value.known == ("raw", "limit")
    with pytest.raises(UnknownPortError, match="'rows' is one of its outputs"):
        graph.connect(extract, "rows", clean, "rows")
    with pytest.raises(UnknownPortError, match=r"is an option of the operation: graph\.add\(Clean\(retry_policy="):
        graph.add(Clean(), raw=extract, retry_policy=RetryPolicy())


def test_an_input_is_connected_once() -> None:
    """G2."""
    graph = GraphDefinition()
    extract, other = graph.add(Extract()), graph.add(Extract())
    clean = graph.add(Clean(), raw=extract, limit=3)
    with pytest.raises(ChannelError, match=r"Clean\.raw is connected to Extract\.rows already") as caught:
        graph.connect(other, "rows", clean, "raw")
    assert (caught.value.operation, caught.value.port) == ("Clean", "raw")
    with pytest.raises(ChannelError, match=r"Clean\.limit is bound to a constant already"):
        graph.connect(graph.add(double, x=1), "result", clean, "limit")
    assert len(graph.channels) == 1


def test_operations_of_another_graph_are_refused() -> None:
    """G2."""
    graph, other = GraphDefinition("mine"), GraphDefinition("other")
    foreign = other.add(Extract())
    clean = graph.add_operation(Clean())
    for use in (
        lambda: graph.connect(foreign, "rows", clean, "raw"),
        lambda: graph.connect(clean, "rows", foreign, "raw"),
        lambda: graph.add(Clean(), raw=foreign),
        lambda: graph.add(Clean(), raw=foreign["rows"]),
        lambda: graph.add_dependency(foreign, clean),
        lambda: graph.add_dependency(clean, foreign),
    ):
        with pytest.raises(UnknownOperationError, match="Extract is not an operation of mine") as caught:
            use()
        assert caught.value.operation == "Extract"


def test_an_operation_is_added_once() -> None:
    """G2."""
    graph = GraphDefinition("mine")
    extract = graph.add(Extract())
    for add in (graph.add_operation, graph.add):
        with pytest.raises(DuplicateOperationError, match="Extract is part of mine already"):
            add(extract)


def test_types_that_can_never_fit_are_refused_with_both_types_and_ports() -> None:
    """G2 and G3."""
    graph = GraphDefinition()
    words = graph.add(text, x=1)
    number = graph.add_operation(double.new())
    with pytest.raises(PortTypeError) as caught:
        graph.connect(words, "result", number, "x")
    assert str(caught.value) == "text.result gives str, which can never fit double.x, which takes int"
    assert (caught.value.source, caught.value.target) == ("text.result", "double.x")
    assert (caught.value.source_type, caught.value.target_type) == ("str", "int")
    with pytest.raises(PortTypeError, match="can never fit"):
        graph.add(double, x=words)
    assert len(graph) == 2


def test_int_fits_float_when_connected() -> None:
    """G3."""

    @operation
    def half(x: float) -> float:
        return x / 2

    graph = GraphDefinition()
    graph.add(half, x=graph.add(double, x=3))
    graph.add(half, x=3)


def test_dtypes_and_shapes_that_can_never_fit_are_refused() -> None:
    """G3."""

    class Make(Operation):
        out = OutputPort(np.ndarray, dtype="float64", shape=(None, 3))

        def execute(self, context: Any) -> None: ...

    class Take(Operation):
        array = InputPort(np.ndarray, dtype="float32", shape=(None, 3))

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    with pytest.raises(PortTypeError, match=r"dtype float64 and shape \(\*, 3\).*dtype float32"):
        graph.add(Take(), array=graph.add(Make()))


def test_an_operation_cannot_feed_itself() -> None:
    """G2."""
    graph = GraphDefinition()
    clean = Clean()
    with pytest.raises(ChannelError, match="Clean cannot feed its own input 'raw'"):
        graph.add(clean, raw=clean["rows"])
    graph.add_operation(clean)
    with pytest.raises(ChannelError, match="Clean cannot feed its own input 'raw'"):
        graph.connect(clean, "rows", clean, "raw")
    with pytest.raises(ChannelError, match="cannot wait for itself"):
        graph.add_dependency(clean, clean)


@pytest.mark.parametrize("add", ["add", "add_operation"])
def test_a_class_in_place_of_an_instance_is_refused(add: str) -> None:
    with pytest.raises(TypeError, match=r"Extract is a class; add an instance: Extract\(\)"):
        getattr(GraphDefinition(), add)(Extract)
    with pytest.raises(TypeError, match="ValueError is a class and no operation; wrap it in a function, such as"):
        getattr(GraphDefinition(), add)(ValueError)
    with pytest.raises(TypeError, match="made of operations and functions, not of 3"):
        getattr(GraphDefinition(), add)(3)


def test_a_function_is_added_by_add() -> None:
    with pytest.raises(TypeError, match=r"use graph\.add\(\), or its operation: double\.new\(\)"):
        GraphDefinition().add_operation(double)  # type: ignore[type-var]


def test_operations_that_are_no_operations_are_refused_by_connect() -> None:
    graph = GraphDefinition()
    with pytest.raises(TypeError, match="Extract is a class"):
        graph.connect(Extract, "rows", graph.add_operation(Clean()), "raw")  # type: ignore[arg-type]


def test_an_operation_with_several_outputs_must_say_which() -> None:
    graph = GraphDefinition()
    clean = graph.add(Clean(), raw=[])
    choices = r"operation\['rows'\] or operation\['rejected'\]"
    with pytest.raises(PortError, match=f"Clean has 2 outputs; say which: {choices}"):
        graph.add(Clean(), raw=clean)


def test_an_operation_without_outputs_stands_for_nothing() -> None:
    graph = GraphDefinition()
    silent = graph.add(operation(outputs=())(lambda: None))
    with pytest.raises(PortError, match="has no outputs"):
        graph.add(double, x=silent)


def test_a_list_of_operations_needs_a_many_port() -> None:
    graph = GraphDefinition()
    extract = graph.add(Extract())
    with pytest.raises(PortError, match=r"Clean\.raw takes one source.*many=True"):
        graph.add(Clean(), raw=[extract])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"raw": "rows"}, r"the constant for Clean\.raw is wrong: expected list, got str \('rows'\)"),
        ({"raw": [], "limit": "3"}, r"Clean\.limit is wrong: expected int"),
        ({"raw": None}, r"Clean\.raw is wrong: expected list, got None"),
    ],
)
def test_constants_are_checked_when_they_are_bound(given: dict[str, Any], text: str) -> None:
    """G3."""
    graph = GraphDefinition()
    with pytest.raises(PortTypeError, match=text):
        graph.add(Clean(), **given)
    assert len(graph) == 0


def test_items_of_a_many_port_are_checked_one_by_one() -> None:
    """G3."""
    with pytest.raises(PortTypeError, match=r"Merge\.parts is wrong: expected int"):
        GraphDefinition().add(Merge(), parts=[1, "2"])


def test_an_optional_port_may_be_given_none() -> None:
    class Take(Operation):
        number = InputPort(int, optional=True)

        def execute(self, context: Any) -> None: ...

    GraphDefinition().add(Take(), number=None)
    assert Take().ports.input_checks == ((int, type(None)),)


@pytest.mark.parametrize("given", [double, Extract])
def test_a_function_or_class_in_place_of_a_node_is_refused(given: Any) -> None:
    with pytest.raises(PortError, match=r"itself; add it to the graph and give what that returns: graph\.add\("):
        GraphDefinition().add(Clean(), raw=given)


def test_a_mistake_in_add_leaves_the_graph_as_it_was() -> None:
    graph = GraphDefinition()
    extract, clean = graph.add(Extract()), Clean()
    with pytest.raises(PortTypeError):
        graph.add(clean, raw=extract, limit="many")
    assert graph.operations == (extract,)
    assert graph.channels == ()
    graph.add(clean, raw=extract)
    graph.compile()


def test_the_name_of_a_graph_is_text() -> None:
    assert GraphDefinition().name == "graph"
    with pytest.raises(TypeError, match=r"name=\) must be a str"):
        GraphDefinition(Extract())  # type: ignore[arg-type]

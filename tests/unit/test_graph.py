"""Graphs: building, the faults of one call, the faults of the whole, and plans (rules G2, G3, G4, G5, G6)."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from execution_dataflow.channels import DataChannel
from execution_dataflow.errors import (
    ChannelError,
    CycleError,
    DuplicateNameError,
    DuplicateOperationError,
    GraphError,
    GraphValidationError,
    PortError,
    PortTypeError,
    UnconnectedInputError,
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


def faults_of(graph: GraphDefinition) -> tuple[GraphError, ...]:
    with pytest.raises(GraphValidationError) as caught:
        graph.validate()
    return caught.value.faults


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
    with pytest.raises(UnknownPortError, match=r"Every keyword of graph\.add"):
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
    with pytest.raises(PortError, match="no output to stand for"):
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


# What only the whole shows (G2)


def test_all_faults_of_the_whole_are_found_at_once() -> None:
    """G2."""
    graph = GraphDefinition("etl")
    graph.add_operation(Clean(name="twice"))
    graph.add(Extract(name="twice"))
    a, b = graph.add_operation(double.new(name="a")), graph.add_operation(double.new(name="b"))
    graph.connect(a, "result", b, "x")
    graph.connect(b, "result", a, "x")
    faults = faults_of(graph)
    assert {type(fault) for fault in faults} == {UnconnectedInputError, DuplicateNameError, CycleError}
    assert len(faults) == 3


def test_an_unconnected_required_input_is_a_fault() -> None:
    """G2: an optional one is none."""
    graph = GraphDefinition("etl")
    graph.add_operation(Clean())
    graph.add_operation(Merge())
    first, second = faults_of(graph)
    assert isinstance(first, UnconnectedInputError)
    assert isinstance(second, UnconnectedInputError)
    assert (first.operation, first.port) == ("Clean", "raw")
    assert (second.operation, second.port) == ("Merge", "parts")
    assert str(first).startswith("the required input Clean.raw (list) is not connected")


def test_a_cycle_comes_back_as_its_path() -> None:
    """G2: closing on itself, with the ports."""
    graph = GraphDefinition()
    nodes = [graph.add_operation(double.new(name=name)) for name in ("extract", "clean", "load")]
    for source, target in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        graph.connect(source, "result", target, "x")
    (fault,) = faults_of(graph)
    assert isinstance(fault, CycleError)
    assert fault.path[0] == fault.path[-1]
    assert sorted(fault.path[1:]) == ["clean.result", "extract.result", "load.result"]
    start = fault.path.index("extract.result")
    ring = fault.path[:-1]
    assert ring[start:] + ring[:start] == ["extract.result", "clean.result", "load.result"]
    assert " -> ".join(fault.path) in str(fault)


def test_a_cycle_through_an_order_only_dependency_shows_it() -> None:
    """G2 and G5."""
    graph = GraphDefinition()
    first = graph.add(double.new(name="first"), x=1)
    second = graph.add(double.new(name="second"), x=first)
    graph.add_dependency(second, first)
    (fault,) = faults_of(graph)
    assert isinstance(fault, CycleError)
    assert set(fault.path) == {"first.result", "second"}
    assert "second => first.result" in str(fault)
    assert "first.result -> second" in str(fault)


def test_an_explicit_name_given_twice_is_a_fault() -> None:
    """G2."""
    graph = GraphDefinition()
    for _ in range(3):
        graph.add(Extract(name="source"))
    (fault,) = faults_of(graph)
    assert isinstance(fault, DuplicateNameError)
    assert fault.name == "source"


def test_implicit_names_are_numbered_and_give_way_to_explicit_ones() -> None:
    """G2 and G6."""
    graph = GraphDefinition()
    for name in (None, None, "Extract_2", None, "other"):
        graph.add(Extract(name=name))
    graph.add(double, x=1)
    graph.add(double, x=1)
    assert graph.compile().names == ("Extract", "Extract_3", "Extract_2", "Extract_4", "other", "double", "double_2")


def test_a_name_that_a_class_has_is_numbered() -> None:
    """G6: it belongs to all instances."""

    class Source(Extract):
        name = "source"

    graph = GraphDefinition()
    graph.add(Source())
    graph.add(Source())
    graph.add(Source(name="mine"))
    assert graph.compile().names == ("source", "source_2", "mine")


def test_errors_call_operations_by_their_names_in_the_graph() -> None:
    """G6."""
    graph = GraphDefinition()
    graph.add(Clean(), raw=[])
    second = graph.add(Clean(), raw=[])
    with pytest.raises(ChannelError, match=r"Clean_2\.raw"):
        graph.connect(graph.add(Extract()), "rows", second, "raw")


def test_what_keeps_a_node_from_running_is_a_fault_of_the_whole() -> None:
    """G2."""
    graph = GraphDefinition()
    late = graph.add(Extract())
    late.executor = "process"  # type: ignore[assignment]
    (fault,) = faults_of(graph)
    assert "not available in this version" in str(fault)


def test_a_graph_is_usable_after_its_faults_are_mended() -> None:
    """G2."""
    graph = GraphDefinition()
    clean = graph.add_operation(Clean())
    faults_of(graph)
    graph.connect(graph.add(Extract()), "rows", clean, "raw")
    graph.validate()


# Plans (G4)


def test_a_plan_is_the_same_until_the_graph_changes() -> None:
    """G4."""
    graph = GraphDefinition("etl")
    first = graph.add(double, x=1)
    plan = graph.compile()
    assert graph.compile() is plan
    second = graph.add(double, x=first)
    assert graph.compile() is not plan
    assert (len(plan), len(graph.compile())) == (1, 2)
    before = graph.compile()
    graph.add_dependency(first, second)
    assert graph.compile() is not before


def test_a_plan_keeps_to_what_the_graph_was() -> None:
    """G4: immutable."""
    graph = GraphDefinition("etl")
    first = graph.add(double, x=1)
    plan = graph.compile()
    late = graph.add(double, x=first)
    assert plan.index_of(first) == 0
    with pytest.raises(UnknownOperationError, match="double is not an operation of etl"):
        plan.index_of(late)
    assert repr(plan) == "<Plan 'etl': 1 operations>"


def test_a_plan_knows_its_operations_by_object_and_by_name() -> None:
    """G6."""
    graph = GraphDefinition("etl")
    extract = graph.add(Extract())
    clean = graph.add(Clean(name="clean"), raw=extract)
    plan = graph.compile()
    assert (plan.name, plan.operations) == ("etl", (extract, clean))
    assert [plan.index_of(key) for key in (extract, clean, "Extract", "clean")] == [0, 1, 0, 1]
    assert [plan.label(index) for index in range(2)] == ["Extract", "clean"]
    with pytest.raises(UnknownOperationError, match="etl has no operation named 'claen'; did you mean 'clean'"):
        plan.index_of("claen")
    with pytest.raises(UnknownOperationError):
        plan.index_of(3)  # type: ignore[arg-type]


def test_a_plan_lists_its_operations_in_topological_order() -> None:
    graph = GraphDefinition()
    last = graph.add_operation(double.new(name="last"))
    first = graph.add(double.new(name="first"), x=1)
    graph.connect(first, "result", last, "x")
    assert graph.compile().order == (first, last)


def test_alike_operations_share_one_spec() -> None:
    """G4: a million nodes of one class cost one description."""
    graph = GraphDefinition()
    sources = [graph.add(double, x=number) for number in range(50)]
    for source in sources:
        graph.add(double.new(retry_policy=RetryPolicy(max_attempts=2)), x=source)
    for _ in range(50):
        graph.add(Extract())
    plan = graph.compile()
    assert len(plan.specs) == 3
    assert [spec.max_attempts for spec in plan.specs] == [1, 2, 1]
    assert list(plan.spec_of) == [0] * 50 + [1] * 50 + [2] * 50


def test_specs_are_shared_between_graphs() -> None:
    """G4."""
    plans = []
    for _ in range(2):
        graph = GraphDefinition()
        graph.add(Extract())
        plans.append(graph.compile())
    assert plans[0].specs[0] is plans[1].specs[0]


def test_an_execute_of_the_instance_is_its_own() -> None:
    first, second = Extract(), Extract()
    second.execute = lambda context: None  # type: ignore[method-assign]
    graph = GraphDefinition()
    graph.add(first)
    graph.add(second)
    assert len(graph.compile().specs) == 2


def test_an_execute_of_the_instance_is_enough() -> None:
    bare = Operation(name="bare")
    bare.execute = lambda context: None  # type: ignore[method-assign]
    graph = GraphDefinition()
    graph.add(bare)
    graph.compile()
    bare.execute = "not a method"  # type: ignore[method-assign,assignment]
    other = GraphDefinition()
    with pytest.raises(GraphError, match=r"bare\.execute must be a method"):
        other.add(bare)


def test_coroutines_are_found_by_themselves() -> None:
    class Fetch(Operation):
        async def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    graph.add(Fetch())
    graph.add(double, x=1)
    assert [spec.is_coroutine for spec in graph.compile().specs] == [True, False]


def test_a_graph_is_compiled_once_by_several_threads() -> None:
    """G4."""
    graph = GraphDefinition()
    node = graph.add(double, x=1)
    for _ in range(200):
        node = graph.add(double, x=node)
    plans: list[Any] = []
    barrier = threading.Barrier(8)

    def compile_now() -> None:
        barrier.wait()
        plans.append(graph.compile())

    threads = [threading.Thread(target=compile_now) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plans) == 8
    assert len(set(map(id, plans))) == 1


def test_the_name_of_a_graph_is_text() -> None:
    assert GraphDefinition().name == "graph"
    with pytest.raises(TypeError, match=r"name=\) must be a str"):
        GraphDefinition(Extract())  # type: ignore[arg-type]

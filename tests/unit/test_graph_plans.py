"""What only the whole of a graph shows, and plans (rules G2, G4, G5, G6)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from execution_dataflow.errors import (
    ChannelError,
    CycleError,
    DuplicateNameError,
    GraphError,
    GraphValidationError,
    UnconnectedInputError,
    UnknownOperationError,
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


def faults_of(graph: GraphDefinition) -> tuple[GraphError, ...]:
    with pytest.raises(GraphValidationError) as caught:
        graph.validate()
    return caught.value.faults


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
    late.executor = "async"
    (fault,) = faults_of(graph)
    assert "must be written with async def" in str(fault)


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

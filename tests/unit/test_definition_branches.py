"""Branches, loops, and maps of graphs come back from files as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import filed_operations as ops
import pytest

from execution_dataflow import DefinitionError, ExecutionEngine, GraphDefinition, operation

FORMATS: list[Any] = ["yaml", "json", "toml"]
ALLOW = ["filed_operations", "filed_operations:parity"]


def switching() -> GraphDefinition:
    graph = GraphDefinition("switching", contracts="connect")
    number = graph.parameter("number", int)
    chosen = graph.switch(number, cases=["odd", "even"], by=ops.parity, default="neither")
    odd = graph.add(ops.increase.new(name="odd"), x=chosen["odd"])
    graph.output("joined", graph.first_of(odd, chosen["even"], name="join"))
    return graph


def looping() -> GraphDefinition:
    graph = GraphDefinition("looping")
    grown = graph.repeat_until(
        ops.grow, until=ops.is_large, max_iterations=50, name="grown", x=graph.parameter("number")
    )
    graph.output("joined", grown)
    return graph


def looping_over_a_graph() -> GraphDefinition:
    body = GraphDefinition("body")
    body.output("x", body.add(ops.increase, x=body.parameter("x", int)))
    graph = GraphDefinition("looping over a graph")
    number = graph.parameter("number")
    graph.output("joined", graph.repeat_until(body, until=ops.is_large, max_iterations=50, on_limit="keep", x=number))
    return graph


def mapping_a_graph() -> GraphDefinition:
    inner = GraphDefinition("inner")
    inner.add(ops.increase, x=inner.add(ops.increase, x=inner.parameter("x", int)))
    graph = GraphDefinition("mapping")
    numbers = graph.add(ops.up_to, x=graph.parameter("number", int))
    graph.output("joined", graph.map(inner, over={"x": numbers}, on_error="keep"))
    return graph


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("make", "outcomes"),
    [
        (switching, {3: 4, 8: 8}),
        (looping, {1: 16, 40: 80}),
        (looping_over_a_graph, {1: 11, 40: 41}),
        (mapping_a_graph, {3: [2, 3, 4], 0: []}),
    ],
)
def test_graph_comes_back_and_does_the_same(
    form: Any, make: Callable[[], GraphDefinition], outcomes: dict[int, Any]
) -> None:
    graph = make()
    loaded = GraphDefinition.loads(graph.dumps(format=form), format=form, allow=ALLOW)
    assert not graph.diff(loaded)
    assert loaded._contracts == graph._contracts
    assert loaded.dumps(format=form) == graph.dumps(format=form)
    engine = ExecutionEngine(max_workers=1)
    for number, outcome in outcomes.items():
        for each in (graph, loaded):
            assert engine.run(each, parameters={"number": number}).values == {"joined": outcome}


def test_difference_in_a_graph_that_is_repeated_is_told() -> None:
    graph, other = looping_over_a_graph(), looping_over_a_graph()
    other.operations[1].body.graph.operations[1].priority = 3  # type: ignore[attr-defined]
    assert "argument 1" in str(graph.diff(other))


def test_function_that_decides_has_to_be_allowed() -> None:
    text = switching().dumps(format="yaml")
    with pytest.raises(DefinitionError, match="parity is a plain function; decorate it with @operation, or allow it"):
        GraphDefinition.loads(text, format="yaml", allow=["filed_operations"])


@pytest.mark.parametrize("format", FORMATS)
def test_functions_among_the_cases_of_a_switch_come_back(format: Any) -> None:
    graph = GraphDefinition("cases")
    chosen = graph.switch(5, cases={"ten": 10, "named": ops.parity}, default="none")
    graph.output("joined", graph.add(ops.increase, x=chosen["named"]))
    text = graph.dumps(format=format)
    assert "filed_operations:parity" in text
    loaded = GraphDefinition.loads(text, format=format, allow=ALLOW)
    assert not loaded.diff(graph)
    assert ExecutionEngine().run(loaded).values["joined"] == 6
    with pytest.raises(DefinitionError, match="parity is a plain function; decorate it with @operation, or allow it"):
        GraphDefinition.loads(text, format=format, allow=["filed_operations"])
    with pytest.raises(DefinitionError, match="is not allowed"):
        GraphDefinition.loads(text, format=format, allow=[])
    graph.switch(1, cases={"a": lambda value: True})
    with pytest.raises(DefinitionError, match=r"operations\.Switch_2\.arguments"):
        graph.dumps(format=format)


def test_functions_stand_in_arguments_alone() -> None:
    text = """\
version: 1
operations:
  more: {operation: "filed_operations:increase", constants: {x: {$function: "filed_operations:parity"}}}
"""
    with pytest.raises(DefinitionError, match=r"there is no kind of value '\$function'"):
        GraphDefinition.loads(text, format="yaml", allow=ALLOW)


def test_lambda_in_a_loop_or_a_switch_is_refused_by_its_place() -> None:
    graph = GraphDefinition("refused")
    graph.switch(1, cases=["a"], by=lambda value: "a")
    graph.repeat_until(ops.grow, until=operation(lambda x: True), max_iterations=3, x=1)
    with pytest.raises(DefinitionError) as caught:
        graph.dumps(format="yaml")
    assert [fault.path for fault in caught.value.faults] == [
        "operations.Switch.arguments.by",
        "operations.grow.repeat.until.operation",
    ]


def test_faults_of_a_loop_are_told_with_their_lines() -> None:
    text = """\
version: 1
contracts: some
operations:
  grown:
    repeat:
      operation: filed_operations:grow
      untill: {operation: "filed_operations:is_large"}
      max_iterations: 3
  again:
    repeat: {operation: "filed_operations:grow", until: {operation: "filed_operations:is_large"}, max_iterations: 0}
"""
    with pytest.raises(DefinitionError) as caught:
        GraphDefinition.loads(text, format="yaml", allow=ALLOW)
    told = [(fault.line, fault.path) for fault in caught.value.faults]
    assert told == [
        (2, "contracts"),
        (7, "operations.grown.repeat.untill"),
        (6, "operations.grown.repeat"),
        (10, "operations.again.repeat"),
    ]

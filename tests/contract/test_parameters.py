"""A graph declares what each run gives it: its parameters."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    Parameter,
    ParameterError,
    PortError,
    PortTypeError,
    UnknownOperationError,
    operation,
)
from execution_dataflow.errors import DuplicateNameError


@operation
def repeat(text: str, times: int = 1) -> str:
    return text * times


def repeating() -> GraphDefinition:
    graph = GraphDefinition("repeating")
    text = graph.parameter("text", str, description="what is repeated")
    times = graph.parameter("times", int, default=2)
    graph.add(repeat, text=text, times=times)
    return graph


@pytest.fixture(params=["thread", "inline", "process"])
def engine(request: Any) -> Any:
    with ExecutionEngine(max_workers=2, executor=request.param) as engine:
        yield engine


def test_each_run_has_its_own_values_on_every_executor(engine: ExecutionEngine) -> None:
    graph = repeating()
    handles = [engine.submit(graph, parameters={"text": letter, "times": 3}) for letter in "abc"]
    assert [handle.result().values for handle in handles] == [{"result": letter * 3} for letter in "abc"]
    assert engine.run(graph, parameters={"text": "d"}).values == {"result": "dd"}
    assert asyncio.run(engine.run_async(graph, parameters={"text": "e"})).values == {"result": "ee"}


def test_parameter_costs_no_operation() -> None:
    graph = repeating()
    plan = graph.compile()
    assert plan.names == ("repeat",)
    result = ExecutionEngine().run(plan, parameters={"text": "x"})
    assert list(result.states) == ["repeat"]
    with pytest.raises(UnknownOperationError, match="'text' is a parameter, which does not run"):
        result.get_output(graph.parameters["text"])


def test_everything_that_is_wrong_with_parameters_is_said_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        ExecutionEngine().run(repeating(), parameters={"times": "three", "txt": "a"})
    error = caught.value
    assert (error.missing, error.unknown, error.wrong) == (("text",), ("txt",), ("times",))
    assert str(error) == (
        "graph 'repeating' cannot run: parameter 'text' (str) has no default and was not given; parameter 'times' is "
        "wrong: expected int, got str ('three'); there is no parameter 'txt'; did you mean 'text'?"
    )


def test_context_is_not_mistaken_for_what_the_graph_is_given() -> None:
    context = ExecutionContext(parameters={"text": "a"})
    with pytest.raises(ParameterError, match=r"give it to engine.run\(parameters=\) too"):
        ExecutionEngine().run(repeating(), context)


def test_graph_without_parameters_takes_none() -> None:
    graph = GraphDefinition("plain")
    graph.add(repeat, text="a")
    with pytest.raises(ParameterError, match="there is no parameter 'text', nor any other; declare it"):
        ExecutionEngine().run(graph, parameters={"text": "b"})
    assert ExecutionEngine().run(graph, parameters={}).is_successful()
    with pytest.raises(TypeError, match="parameters= is a mapping of names to values"):
        ExecutionEngine().run(graph, parameters=[("text", "b")])  # type: ignore[arg-type]


def test_declaration_is_checked() -> None:
    graph = GraphDefinition()
    graph.parameter("rate", float, default=1)
    with pytest.raises(DuplicateNameError, match="has a parameter 'rate' already"):
        graph.parameter("rate")
    with pytest.raises(PortError, match="the default of parameter 'count' is wrong: expected int"):
        graph.parameter("count", int, default="many")
    with pytest.raises(PortError, match="the name of a parameter must be an identifier such as 'path', not 'a b'"):
        graph.parameter("a b")
    with pytest.raises(PortTypeError):
        graph.add(repeat, text=graph.parameters["rate"])
    assert [str(channel) for channel in graph.channels] == []


def test_same_parameter_feeds_many_and_one_that_nothing_reads_is_checked_too() -> None:
    graph = GraphDefinition()
    text = graph.parameter("text", str)
    graph.parameter("unused", int)
    nodes = [graph.add(repeat, text=text, times=times) for times in range(3)]
    with pytest.raises(ParameterError, match="parameter 'unused'"):
        ExecutionEngine().run(graph, parameters={"text": "a"})
    result = ExecutionEngine().run(graph, parameters={"text": "a", "unused": 1})
    assert [result.get_output(node) for node in nodes] == ["", "a", "aa"]


def test_array_is_passed_as_it_is_and_written_to_only_as_a_copy() -> None:
    class Fill(Operation):
        array = InputPort(np.ndarray, mutable=True)
        filled = OutputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            self.array[:] = 1
            self.filled = self.array

    graph = GraphDefinition()
    array = graph.parameter("array", np.ndarray)
    seen = graph.add(lambda array: array is given, array=array)
    filled = graph.add(Fill(), array=array)
    given = np.zeros(3)
    result = ExecutionEngine().run(graph, parameters={"array": given})
    assert result.get_output(seen) is True
    assert given.sum() == 0
    assert result.get_output(filled).sum() == 3


def test_map_runs_over_a_parameter() -> None:
    graph = GraphDefinition()
    numbers = graph.parameter("numbers", list)
    doubled = graph.map(lambda number: 2 * number, over=numbers)
    engine = ExecutionEngine()
    for count in (3, 0, 5):
        assert engine.run(graph, parameters={"numbers": list(range(count))}).get_output(doubled) == [
            2 * number for number in range(count)
        ]


def test_variant_has_other_defaults_and_the_same_operations() -> None:
    graph = repeating()
    graph.output("repeated", graph.operations[2])
    variant = graph.with_parameters(text="ab", times=3)
    assert ExecutionEngine().run(variant).values == {"repeated": "ababab"}
    assert graph.parameters["text"].is_required
    assert variant.operations[2] is graph.operations[2]
    assert (variant.parameters["text"].default, variant.parameters["text"].description) == ("ab", "what is repeated")
    with pytest.raises(ParameterError, match="has no parameter 'time'; did you mean 'times'"):
        graph.with_parameters(time=3)
    with pytest.raises(ParameterError, match="parameter 'times' is wrong: expected int"):
        graph.with_parameters(times="3")


def test_parameter_is_known_by_what_it_declares() -> None:
    graph = repeating()
    text, times = graph.parameters.values()
    assert isinstance(text, Parameter)
    assert (text.name, text.data_type, text.is_required, text.description) == ("text", str, True, "what is repeated")
    assert (times.default, repr(times)) == (2, "<parameter times: int = 2>")

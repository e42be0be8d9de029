"""A switch passes its value on through one of its outputs; first_of joins branches again."""

from __future__ import annotations

from typing import Any

import pytest

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    OperationState,
    PortError,
    PortTypeError,
    SwitchError,
    operation,
)

S = OperationState


@operation
def shout(text: str) -> str:
    return text.upper()


@operation
def whisper(text: str) -> str:
    return text.lower()


def routed(value: Any, **options: Any) -> tuple[GraphDefinition, Any]:
    graph = GraphDefinition("routed")
    return graph, graph.switch(value, **options)


def taken(engine: ExecutionEngine, graph: GraphDefinition, switch: Any) -> Any:
    result = engine.run(graph)
    result.raise_if_failed()
    return result.outputs()["Switch"]


@pytest.mark.parametrize(
    ("value", "options", "output"),
    [
        ("b", {"cases": ["a", "b"]}, "b"),
        (7, {"cases": {"even": 0, "odd": 1}, "by": lambda number: number % 2}, "odd"),
        (7, {"cases": {"few": lambda n: n < 5, "some": lambda n: n < 10, "many": lambda n: n >= 5}}, "some"),
        (None, {"cases": {"nothing": None}, "default": "something"}, "nothing"),
        ("x", {"cases": ["a"], "default": "other"}, "other"),
        (int, {"cases": {"whole": int, "real": float}}, "whole"),
    ],
)
def test_value_leaves_through_the_output_of_its_case(
    threads: ExecutionEngine, value: Any, options: Any, output: str
) -> None:
    graph, switch = routed(value, **options)
    assert taken(threads, graph, switch) == {output: value}


def test_another_operation_may_decide(threads: ExecutionEngine) -> None:
    graph = GraphDefinition("routed")
    mode = graph.add(lambda: "loud")
    switch = graph.switch("Hi", cases=["loud", "quiet"], by=mode, name="volume")
    loud, quiet = graph.add(shout, text=switch["loud"]), graph.add(whisper, text=switch["quiet"])
    said = graph.first_of(quiet, loud)
    result = threads.run(graph)
    assert result.get_output(said) == "HI"
    assert result.get_state(quiet) is S.SKIPPED
    assert result.get_state("volume") is S.SUCCEEDED


def test_value_without_a_case_is_named(threads: ExecutionEngine) -> None:
    graph, _ = routed("quite", cases=["loud", "quiet"])
    error = threads.run(graph).first_error
    assert error is not None
    assert isinstance(error.exception, SwitchError)
    assert (error.exception.value, error.exception.cases) == ("quite", ("loud", "quiet"))
    assert "'quite' fits none of the cases 'loud', 'quiet' (did you mean 'quiet'?)" in error.message
    assert "default='name'" in error.message


def test_mistakes_are_found_when_the_switch_is_defined() -> None:
    for options, kind, says in [
        ({"cases": []}, GraphError, "at least one case"),
        ({"cases": "ab"}, TypeError, "cases= must be"),
        ({"cases": ["a", "a"]}, PortError, "given twice"),
        ({"cases": ["a"], "default": "a"}, PortError, "is a case too"),
        ({"cases": ["not a name"]}, PortError, "not a name"),
        ({"cases": ["a"], "by": 3}, TypeError, "by= must be"),
    ]:
        with pytest.raises(kind, match=says):
            routed(1, **options)  # type: ignore[arg-type]


def test_types_pass_through_a_switch_and_a_join() -> None:
    graph = GraphDefinition()
    switch = graph.switch(graph.add(shout, text="a"), cases=["A"])
    joined = graph.first_of(graph.add(whisper, text=switch["A"]))

    @operation
    def count(number: int) -> int:
        return number

    for source in (switch["A"], joined):
        with pytest.raises(PortTypeError):
            graph.add(count, number=source)


def test_first_of_takes_the_first_in_its_order_that_came(threads: ExecutionEngine) -> None:
    graph = GraphDefinition()
    one, two = graph.add(lambda: 1), graph.add(lambda: 2)
    switch = graph.switch(5, cases={"low": lambda n: n < 3, "high": lambda n: n >= 3})
    low, high = graph.add(lambda n: -n, n=switch["low"]), graph.add(lambda n: n, n=switch["high"])
    first, second = graph.first_of(low, two, one), graph.first_of(low, high)
    nothing = graph.first_of(low)
    result = threads.run(graph, retain="all")
    assert (result.get_output(first), result.get_output(second)) == (2, 5)
    assert result.get_state(nothing) is S.SKIPPED


def test_a_failure_outranks_the_branches_that_came(threads: ExecutionEngine) -> None:
    graph = GraphDefinition()
    joined = graph.first_of(graph.add(lambda: 1), graph.add(lambda: 1 / 0))
    assert threads.run(graph, failure_policy="continue").get_state(joined) is S.UPSTREAM_FAILED


def test_a_join_of_nothing_is_refused() -> None:
    with pytest.raises(PortError, match="give it the operations at their ends"):
        GraphDefinition().first_of()


def test_switches_agree_in_worker_processes(processes: ExecutionEngine) -> None:
    graph = GraphDefinition()
    switch = graph.switch("Hi", cases={"long": lambda t: len(t) > 3, "short": lambda t: len(t) <= 3})
    said = graph.first_of(graph.add(shout, text=switch["long"]), graph.add(whisper, text=switch["short"]))
    assert processes.run(graph).get_output(said) == "hi"

"""Checks of ports at the levels of contracts, and of what is given in the place of outputs."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import pytest

from execution_dataflow import (
    Check,
    CheckFailed,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    PortTypeError,
    RunState,
    operation,
)

positive = Check("positive", lambda number: number > 0)
even = Check("even", lambda number: number % 2 == 0, severity="warn")
below = Check("below the other", lambda number, ports: number < ports["other"], uses_ports=True)


@operation(checks={"result": [positive, even]})
def load(number: int = 4) -> int:
    return number


@operation(checks={"number": [positive]})
def double(number: int) -> int:
    return number * 2


def chain(**options: Any) -> tuple[GraphDefinition, Any]:
    graph = GraphDefinition("chain", **options)
    return graph, graph.add(double, number=graph.add(load, number=-1))


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_off_asks_no_checks_and_connect_does(executor: str) -> None:
    graph, last = chain()
    with ExecutionEngine(contracts="off", executor=executor, max_workers=1) as engine:
        result = engine.run(graph)
        assert result.get_output(last) == -2
        assert {summary.evaluated for summary in result.checks} == {0}
    with ExecutionEngine(contracts="connect", executor=executor, max_workers=1) as engine:
        result = engine.run(graph)
        assert result.first_error is not None
        assert isinstance(result.first_error.exception, CheckFailed)


def test_graph_that_is_off_asks_no_checks_whatever_the_engine_says() -> None:
    graph, last = chain(contracts="off")
    for level in ("values", "connect", "off"):
        assert ExecutionEngine(contracts=level).run(graph).get_output(last) == -2  # type: ignore[arg-type]
    assert ExecutionEngine(debug=True).run(graph).get_output(last) == -2


def test_engines_of_all_levels_share_a_plan() -> None:
    graph, last = chain()
    plan = graph.compile()
    for _ in range(2):
        assert ExecutionEngine(contracts="off").run(plan).get_output(last) == -2
        assert ExecutionEngine(contracts="off", debug=True).run(plan).get_output(last) == -2
        assert ExecutionEngine(contracts="connect").run(plan).state is RunState.FAILED
        assert ExecutionEngine(contracts="connect", debug=True).run(plan).state is RunState.FAILED
        assert ExecutionEngine().run(plan).state is RunState.FAILED


def test_maps_are_not_checked_either() -> None:
    graph = GraphDefinition()
    items = graph.map(double, over=[-1, "a"])
    assert ExecutionEngine(contracts="off").run(graph).get_output(items) == [-2, "aa"]
    assert ExecutionEngine(contracts="connect").run(graph).state is RunState.FAILED


@pytest.mark.parametrize("level", ["connect", "off"])
def test_level_counts_in_loops_and_in_what_dynamic_operations_return(level: Any) -> None:
    def grow(text: int) -> int:
        return str(text) + "!"  # type: ignore[return-value]

    def returned() -> GraphDefinition:
        inner = GraphDefinition("inner")
        inner.output("result", inner.add(operation(lambda: "text").new(name="text")))
        inner.add(grow, text=inner.add(load))
        return inner

    graph = GraphDefinition("outer")
    body = operation(outputs="text")(grow)
    loop = graph.repeat_until(body, until=lambda text: len(text) > 2, max_iterations=5, text=7)
    made = graph.add(operation(returned, dynamic=True))  # type: ignore[call-overload]
    result = ExecutionEngine(contracts=level).run(graph)
    assert result.first_error is None
    assert result.get_output(loop) == "7!!"
    assert result.get_output(made) == "text"
    assert ExecutionEngine().run(graph).state is RunState.FAILED


def test_value_for_an_output_is_checked_as_if_it_had_been_set() -> None:
    graph, last = chain()
    ran = ExecutionEngine().run(graph, overrides={"load.result": 6})
    assert ran.get_output(last) == 12
    with pytest.raises(CheckFailed, match=r"the override of load.result does not pass: positive") as caught:
        ExecutionEngine().run(graph, overrides={"load.result": -6})
    assert (caught.value.operation, caught.value.port) == ("load", "result")
    assert [outcome.check for outcome in caught.value.outcomes] == ["positive"]


def test_override_that_only_warns_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    graph, last = chain()
    with caplog.at_level(logging.WARNING, "execution_dataflow.run"):
        ran = ExecutionEngine().run(graph, ExecutionContext(secrets={"pin": "seven"}), overrides={"load.result": 7})
    assert ran.get_output(last) == 14
    assert "the override of load.result: even" in caplog.text


@pytest.mark.parametrize("level", ["connect", "off"])
def test_checks_of_overrides_follow_the_level(level: Any) -> None:
    graph, last = chain()
    engine = ExecutionEngine(contracts=level)
    if level == "off":
        assert engine.run(graph, overrides={"load.result": -6}).get_output(last) == -12
        assert engine.run(graph, overrides={"load.result": "ab"}).get_output(last) == "abab"
        return
    with pytest.raises(CheckFailed):
        engine.run(graph, overrides={"load.result": -6})
    with pytest.raises(PortTypeError):
        engine.run(graph, overrides={"load.result": "ab"})


def test_value_for_an_input_is_checked_by_the_operation_that_takes_it() -> None:
    graph, last = chain()
    result = ExecutionEngine().run(graph, overrides={(last, "number"): -5})
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, CheckFailed)


def test_plan_with_overrides_checks_those_of_each_run() -> None:
    graph, last = chain()
    plan = graph.compile(overrides=["load.result"])
    engine = ExecutionEngine()
    assert engine.run(plan, overrides={"load.result": 2}).get_output(last) == 4
    with pytest.raises(CheckFailed):
        engine.run(plan, overrides={"load.result": 0})


def test_check_that_uses_other_ports_is_left_out() -> None:
    @operation
    def spread(other: int = 1) -> Annotated[int, below]:
        return other - 1

    graph = GraphDefinition()
    last = graph.add(double, number=graph.add(spread))
    assert ExecutionEngine().run(graph, overrides={"spread.result": 9}).get_output(last) == 18

"""How much of the contracts is checked: by the graph when it is built, and by the engine while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputNotSetError,
    OutputPort,
    PortTypeError,
    RunState,
    ValueTypeError,
    operation,
)


@operation
def count(lie: bool = True) -> int:
    return "three" if lie else 3  # type: ignore[return-value]


@operation
def double(number: int) -> int:
    return number * 2


class Doubled(Operation):
    number = InputPort(int)
    doubled = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.doubled = self.number * 2


class DoubledLater(Doubled):
    async def execute(self, context: Any) -> None:  # type: ignore[override]
        super().execute(context)


def lying(made: Any = double, **options: Any) -> tuple[GraphDefinition, Operation]:
    graph = GraphDefinition(**options)
    node = graph.add(made() if isinstance(made, type) else made, number=graph.add(count))
    return graph, node


@pytest.mark.parametrize("made", [double, Doubled, DoubledLater])
@pytest.mark.parametrize(("level", "executor"), [("connect", "thread"), ("off", "inline"), ("connect", "process")])
def test_below_values_no_value_is_checked(level: Any, made: Any, executor: str) -> None:
    graph, node = lying(made)
    with ExecutionEngine(contracts=level, executor=executor, max_workers=2) as engine:
        assert engine.run(graph).get_output(node) == "threethree"
    with ExecutionEngine(executor=executor, max_workers=2) as engine:
        result = engine.run(graph)
        assert result.state is RunState.FAILED
        assert result.first_error is not None
        assert isinstance(result.first_error.exception, ValueTypeError)


@pytest.mark.parametrize("level", ["connect", "off"])
def test_the_lower_level_of_graph_and_engine_counts(level: Any) -> None:
    graph, node = lying(contracts=level)
    assert ExecutionEngine(contracts="values").run(graph).get_output(node) == "threethree"
    assert ExecutionEngine(contracts="values").run(graph.compile()).get_output(node) == "threethree"


def test_one_engine_does_not_change_what_another_checks() -> None:
    """G4: a plan is shared by all its runs, in worker processes too."""
    graph, node = lying()
    plan = graph.compile()
    with (
        ExecutionEngine(executor="process", max_workers=1) as strict,
        ExecutionEngine(executor="process", max_workers=1, contracts="connect") as lax,
    ):
        for _ in range(2):
            assert strict.run(plan).state is RunState.FAILED
            assert lax.run(plan).get_output(node) == "threethree"


def test_a_graph_that_checks_nothing_connects_anything() -> None:
    graph = GraphDefinition(contracts="off")
    words = graph.add(lambda: ["a"])
    text = graph.add(operation(lambda: "a").new(name="text"))

    def total(numbers: list[int], many: int) -> str:
        return f"{numbers}{many}"

    typed = graph.add(count)
    node = graph.add(total, numbers=typed, many="constant")
    clean = graph.add_operation(Doubled())
    graph.connect(node, "result", clean, "number")
    graph.add_many(double, number=["a", "b"])
    assert ExecutionEngine().run(graph).get_output(clean, "doubled") == "threeconstantthreeconstant"
    assert words is not text


@pytest.mark.parametrize("level", ["values", "connect"])
def test_types_are_compared_unless_the_graph_says_off(level: Any) -> None:
    graph = GraphDefinition(contracts=level)

    def text(words: str) -> None: ...

    source = graph.add(count)
    with pytest.raises(PortTypeError):
        graph.add(text, words=source)
    with pytest.raises(PortTypeError):
        graph.add(text, words=3)


def test_outputs_have_to_be_set_at_every_level() -> None:
    """R2: that is no matter of types."""

    class Forgets(Operation):
        made = OutputPort(int)

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    graph.add(Forgets())
    result = ExecutionEngine(contracts="off").run(graph)
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, OutputNotSetError)


def test_maps_and_what_stands_in_are_not_checked_either() -> None:
    @operation(on_failure=lambda: "text")
    def broken() -> int:
        raise OSError

    def same(number: int) -> int:
        return number

    graph = GraphDefinition()
    stand_in = graph.add(broken)
    items = graph.map(same, over=["a", "b"])
    result = ExecutionEngine(contracts="connect").run(graph)
    assert (result.get_output(stand_in), result.get_output(items)) == ("text", ["a", "b"])
    assert ExecutionEngine(failure_policy="continue").run(graph).state is RunState.FAILED


def test_limits_and_debugging_work_without_checks() -> None:
    @operation(resources={"gpu": 1})
    def use() -> int:
        return "text"  # type: ignore[return-value]

    graph = GraphDefinition()
    node = graph.add(use)
    with ExecutionEngine(contracts="connect", debug=True, resources={"gpu": 1}) as engine:
        assert engine.run(graph).get_output(node) == "text"


def test_named_dimensions_are_values() -> None:
    @operation
    def make() -> np.ndarray:
        return np.zeros(3)

    class Sum(Operation):
        one = InputPort(np.ndarray, shape=("n",))
        other = InputPort(np.ndarray, shape=("n",))
        total = OutputPort(float)

        def execute(self, context: Any) -> None:
            self.total = float(self.one.sum() + self.other.sum())

    graph = GraphDefinition()
    node = graph.add(Sum(), one=graph.add(make), other=np.zeros(4))
    assert ExecutionEngine(contracts="connect").run(graph).get_output(node) == 0.0


def _engine(level: Any) -> object:
    return ExecutionEngine(contracts=level)


def _graph(level: Any) -> object:
    return GraphDefinition(contracts=level)


@pytest.mark.parametrize("make", [_engine, _graph])
@pytest.mark.parametrize("level", ["value", "", None, 1, True, ["values"]])
def test_another_word_is_refused(make: Callable[[Any], object], level: Any) -> None:
    with pytest.raises(ValueError, match="contracts="):
        make(level)

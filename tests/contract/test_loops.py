"""A loop runs its body again and again, until its condition is true or its maximum comes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    InputPort,
    IterationLimitError,
    Operation,
    OperationState,
    OutputPort,
    PortError,
    PortTypeError,
    UnknownPortError,
    operation,
    repeated,
)

S = OperationState


@operation(outputs="x")
def halve(x: float) -> float:
    return x / 2


def small(x: float) -> bool:
    return x < 1


def loop_of(body: Any, **options: Any) -> tuple[GraphDefinition, Any]:
    graph = GraphDefinition("looping")
    return graph, graph.repeat_until(body, **options)


def test_outputs_feed_the_inputs_of_the_same_names(threads: ExecutionEngine) -> None:
    graph, loop = loop_of(halve, until=small, max_iterations=100, x=100.0)
    after = graph.add(lambda x: x + 1, x=loop)
    result = threads.run(graph, retain="all")
    assert result.get_output(loop) == 100 / 2**7
    assert result.get_output(after) == 100 / 2**7 + 1
    assert result.get_iterations(loop) == result.get_iterations("halve") == 7
    assert result.get_state("halve[6]/halve") is S.SUCCEEDED
    assert list(result.states_inside(loop))[:3] == ["halve[0]/halve", "halve[0]/until", "halve[1]/halve"]
    assert dict(result.states) == {"halve": S.SUCCEEDED, "lambda": S.SUCCEEDED}


def test_other_inputs_are_the_same_for_all(threads: ExecutionEngine) -> None:
    @operation(outputs=("total", "count"))
    def gather(total: int, step: int, count: int = 0) -> tuple[int, int]:
        return total + step, count + 1

    graph, loop = loop_of(gather, until=lambda count, step: count == step, max_iterations=10, total=0, step=3)
    result = threads.run(graph)
    assert (result.get_output(loop, "total"), result.get_output(loop, "count")) == (9, 3)


def test_maximum_fails_the_loop_or_keeps_what_came_last(threads: ExecutionEngine) -> None:
    graph, loop = loop_of(halve, until=small, max_iterations=3, x=100.0)
    result = threads.run(graph)
    assert result.first_error is not None
    assert result.get_state(loop) is S.FAILED
    error = result.first_error.exception
    assert isinstance(error, IterationLimitError)
    assert (error.max_iterations, error.outputs) == (3, {"x": 12.5})
    assert "halve had 3 iterations" in str(error)
    assert "on_limit='keep'" in str(error)
    graph, loop = loop_of(halve, until=small, max_iterations=3, on_limit="keep", x=100.0)
    assert threads.run(graph).get_output(loop) == 12.5


def test_body_that_feeds_nothing_is_told_so_at_the_maximum(threads: ExecutionEngine) -> None:
    graph, _ = loop_of(lambda x: x / 2, until=lambda result: result < 1, max_iterations=3, x=100.0)
    error = threads.run(graph).first_error
    assert error is not None
    assert "None of its outputs has the name of an input" in error.message


def test_condition_may_be_an_operation_that_fails_by_name(threads: ExecutionEngine) -> None:
    @operation
    def check(x: float) -> bool:
        raise ValueError("no idea")

    graph, _ = loop_of(halve, until=check, max_iterations=3, x=1.0)
    result = threads.run(graph)
    assert "halve[0]/check failed: ValueError: no idea" in (result.get_error_message() or "")


def test_mistakes_are_found_when_the_loop_is_defined() -> None:
    @operation(outputs="x")
    def text(x: int) -> str:
        return str(x)

    class Many(Operation):
        xs = InputPort(int, many=True)
        x = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.x = 1

    class Optional(Operation):
        x = OutputPort(int, optional=True)

        def execute(self, context: Any) -> None:
            self.x = 1

    class Nothing(Operation):
        def execute(self, context: Any) -> None:
            pass

    mistakes: list[tuple[Any, Any, type[Exception], str]] = [
        (text, small, PortTypeError, "'x' is str, and feeds its input 'x' in the next iteration, which is int"),
        (Many(), small, PortError, "takes many sources"),
        (Optional(), small, PortError, "is optional, and every iteration needs a value"),
        (Nothing(), small, PortError, "has no outputs"),
        (halve, lambda y: y, UnknownPortError, "until= takes outputs of halve, or its inputs, by name"),
        (halve, 3, TypeError, "until= must be a function or an operation"),
        (3, small, TypeError, "what is repeated must be"),
    ]
    for body, until, kind, says in mistakes:
        with pytest.raises(kind, match=says):
            loop_of(body, until=until, max_iterations=3)
    with pytest.raises(TypeError, match="max_iterations= must be an int"):
        loop_of(halve, until=small, max_iterations=2.5, x=1.0)
    with pytest.raises(GraphError, match="1 or more"):
        loop_of(halve, until=small, max_iterations=0, x=1.0)
    with pytest.raises(GraphError, match="'fail' or 'keep'"):
        loop_of(halve, until=small, max_iterations=3, on_limit="ignore", x=1.0)


def test_values_of_past_iterations_are_let_go(threads: ExecutionEngine) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0

    class State:
        def __init__(self, number: int) -> None:
            self.number = number
            alive.add(self)

    @operation(outputs="state")
    def advance(state: Any) -> Any:
        nonlocal most
        most = max(most, len(alive))
        return State(state.number + 1)

    graph, loop = loop_of(advance, until=lambda state: state.number == 50, max_iterations=50, state=State(0))
    result = threads.run(graph)
    assert result.get_output(loop).number == 50
    del result
    gc.collect()
    # The constant, what the body got, and what the worker before it may still hold.
    assert most <= 3


def test_arrays_move_through_a_loop_that_writes_them(threads: ExecutionEngine) -> None:
    class Grow(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("x", InputPort(np.ndarray, mutable=True))
            self.add_output_port("x", OutputPort(np.ndarray))

        def execute(self, context: Any) -> None:
            array = self.get_input("x")
            places.append(array.__array_interface__["data"][0])
            array += 1
            self.set_output("x", array)

    places: list[int] = []
    graph, loop = loop_of(Grow(), until=lambda: len(places) == 6, max_iterations=6, x=np.zeros(10))
    assert threads.run(graph).get_output(loop).tolist() == [6.0] * 10
    # The constant is copied; after that it is one array all the time.
    assert len(set(places)) == 1


def test_coroutines_and_processes_are_repeated_too(processes: ExecutionEngine) -> None:
    @operation(outputs="x")
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    graph, loop = loop_of(later, until=lambda x: x == 20, max_iterations=20, x=0)
    near = graph.repeat_until(halve, until=small, max_iterations=9, x=9.0)
    result = processes.run(graph)
    assert (result.get_output(loop), result.get_output(near)) == (20, 9 / 16)


def test_until_may_be_a_coroutine_function(threads: ExecutionEngine) -> None:
    async def done(x: float) -> bool:
        await asyncio.sleep(0)
        return x <= 1

    graph, loop = loop_of(halve, until=done, max_iterations=9, x=8.0)
    assert threads.run(graph).get_output(loop) == 1


def test_each_iteration_draws_from_a_stream_of_its_own(threads: ExecutionEngine) -> None:
    @operation(outputs="drawn")
    def draw(drawn: list[float], context: ExecutionContext) -> list[float]:
        return [*drawn, float(context.random().random())]

    graph, loop = loop_of(draw, until=lambda drawn: len(drawn) == 4, max_iterations=4, drawn=[])
    first, second = (threads.run(graph, ExecutionContext(seed=1)).get_output(loop) for _ in range(2))
    assert first == second
    assert len(set(first)) == 4


def test_loops_nest_and_are_mapped(threads: ExecutionEngine) -> None:
    inner = repeated(halve, name="inner", until=small, max_iterations=20)

    @operation(outputs=("x", "turns"), dynamic=True)
    def outer(x: float, turns: int) -> Any:
        graph = GraphDefinition("outer")
        halved = graph.add(repeated(halve, name="inner", until=small, max_iterations=20), x=x)
        return graph, {"x": graph.add(lambda x: x * 100, x=halved), "turns": graph.add(lambda: turns + 1)}

    graph, loop = loop_of(outer, until=lambda turns: turns == 3, max_iterations=5, x=8.0, turns=0)
    mapped = graph.map(inner, over=[1.0, 8.0])
    result = threads.run(graph)
    result.raise_if_failed()
    assert result.get_output(loop, "turns") == 3
    assert result.get_output(mapped) == [0.5, 0.5]
    assert result.get_iterations("outer[2]/outer/inner") == 7
    assert result.get_iterations("inner[1]") == 4
    assert result.get_state("outer[1]/outer/inner[5]/halve") is S.SUCCEEDED


def test_ten_thousand_iterations_are_found_again(threads: ExecutionEngine) -> None:
    @operation(outputs="n")
    def count(n: int) -> int:
        return n + 1

    graph, loop = loop_of(count, until=lambda n: n == 10_000, max_iterations=10_000, n=0)
    result = threads.run(graph)
    assert result.get_output(loop) == result.get_iterations(loop) == 10_000
    assert result.get_state("count[9999]/count") is S.SUCCEEDED

"""A dynamic operation returns a graph, which runs in its place."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

from execution_dataflow import (
    ContractError,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    NoValueError,
    Operation,
    OperationState,
    OutputPort,
    UnknownOperationError,
    ValueReleasedError,
    operation,
)

S = OperationState


@operation
def double(x: int) -> int:
    return 2 * x


@operation(dynamic=True)
def doubled(times: int, x: int) -> Any:
    graph = GraphDefinition("doubled")
    for _ in range(times):
        x = graph.add(double, x=x)  # type: ignore[assignment]
    return graph


def alone(function: Any, **inputs: Any) -> GraphDefinition:
    graph = GraphDefinition("alone")
    graph.add(function, **inputs)
    return graph


def error_of(engine: ExecutionEngine, function: Any, **inputs: Any) -> BaseException:
    result = engine.run(alone(function, **inputs))
    assert result.first_error is not None
    return result.first_error.exception


def test_outputs_of_the_graph_become_those_of_the_operation(threads: ExecutionEngine) -> None:
    graph = GraphDefinition()
    grown = graph.add(doubled, times=3, x=5)
    after = graph.add(double, x=grown)
    result = threads.run(graph, retain="all")
    assert (result.get_output(grown), result.get_output(after)) == (40, 80)
    assert dict(result.states) == {"doubled": S.SUCCEEDED, "double": S.SUCCEEDED}


def test_operations_inside_are_asked_for_by_name(threads: ExecutionEngine) -> None:
    result = threads.run(alone(doubled, times=2, x=1))
    assert result.states_inside("doubled") == {"doubled/double": S.SUCCEEDED, "doubled/double_2": S.SUCCEEDED}
    assert result.get_state("doubled/double_2") is S.SUCCEEDED
    timing = result.get_timing("doubled/double")
    assert timing is not None
    assert timing.operation == "doubled/double"
    assert result.get_error("doubled/double") is None
    with pytest.raises(ValueReleasedError, match="doubled/double"):
        result.get_output("doubled/double")
    with pytest.raises(UnknownOperationError, match="doubled/treble"):
        result.get_state("doubled/treble")


def test_a_plain_function_may_return_a_graph_as_its_value(threads: ExecutionEngine) -> None:
    @operation
    def make() -> Any:
        return alone(double, x=1)

    result = threads.run(alone(make))
    assert isinstance(result.get_output("make"), GraphDefinition)
    assert result.states_inside("make") == {}


def test_class_and_options_make_an_operation_dynamic(threads: ExecutionEngine) -> None:
    class Pair(Operation):
        dynamic = True
        low = OutputPort(int)
        high = OutputPort(int)

        def execute(self, context: Any) -> Any:
            graph = GraphDefinition()
            low = graph.add(double, x=1)
            return graph, {"low": low, "high": graph.add(double, x=low)["result"]}

    result = threads.run(alone(Pair()))
    assert (result.get_output("Pair", "low"), result.get_output("Pair", "high")) == (2, 4)

    def plain(x: int) -> Any:
        return alone(double, x=x)

    assert threads.run(alone(operation(plain).new(dynamic=True), x=4)).get_output("plain") == 8


def test_optional_outputs_that_the_graph_lacks_stay_unset(threads: ExecutionEngine) -> None:
    class Maybe(Operation):
        dynamic = True
        one = OutputPort(int)
        other = OutputPort(int, optional=True)

        def execute(self, context: Any) -> Any:
            graph = GraphDefinition()
            return graph, {"one": graph.add(double, x=1)}

    graph = GraphDefinition()
    maybe = graph.add(Maybe())
    after = graph.add(double, x=maybe["other"])
    result = threads.run(graph)
    assert result.get_output(maybe, "one") == 2
    assert result.get_state(after) is S.SKIPPED
    with pytest.raises(NoValueError, match="branch was not taken"):
        threads.run(graph, retain="all").get_output(maybe, "other")


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda: 3, "must return a GraphDefinition.*not int"),
        (lambda: (alone(double, x=1), [1]), "with a dict such as"),
        (lambda: (alone(double, x=1), {"resulting": double.new()}), "is not an operation of alone"),
        (lambda: (alone(double, x=1), {"result": 3}), "its output 'result' is 3"),
        (lambda: GraphDefinition(), "no output of that name; its outputs: none"),
    ],
)
def test_what_is_no_graph_is_an_error_that_says_so(threads: ExecutionEngine, returned: Any, says: str) -> None:
    error = error_of(threads, operation(dynamic=True, name="strange")(lambda: returned()))
    assert isinstance(error, ContractError)
    with pytest.raises(ContractError, match=says):
        raise error


def test_names_of_outputs_are_checked_and_the_nearest_is_suggested(threads: ExecutionEngine) -> None:
    @operation(dynamic=True)
    def strange() -> Any:
        graph = GraphDefinition()
        return graph, {"resutl": graph.add(double, x=1)}

    assert "no output 'resutl' for its graph to give; did you mean 'result'?" in str(error_of(threads, strange))


def test_several_ends_need_a_name(threads: ExecutionEngine) -> None:
    @operation(dynamic=True)
    def strange() -> Any:
        graph = alone(double, x=1)
        graph.add(double, x=2)
        return graph

    message = str(error_of(threads, strange))
    assert "its outputs: 'double.result', 'double_2.result'" in message
    assert "{'result': operation}" in message


def test_values_are_checked_against_the_ports_of_the_operation(threads: ExecutionEngine) -> None:
    class Text(Operation):
        dynamic = True
        text = OutputPort(str)

        def execute(self, context: Any) -> Any:
            graph = GraphDefinition()
            return graph, {"text": graph.add(lambda: 3)}

    assert 'output "text" of Text has a wrong value' in str(error_of(threads, Text()))


def test_faults_of_the_graph_fail_the_operation(threads: ExecutionEngine) -> None:
    @operation(dynamic=True)
    def broken() -> Any:
        graph = GraphDefinition("inner")
        graph.add(double)
        return graph

    assert "double.x" in str(error_of(threads, broken))


def test_a_process_is_no_place_for_one() -> None:
    with pytest.raises(GraphError, match="leave the executor out"):
        alone(operation(dynamic=True, executor="process", name="away")(lambda: GraphDefinition())).compile()


def test_random_streams_are_those_of_the_full_name(threads: ExecutionEngine) -> None:
    @operation
    def draw(context: ExecutionContext) -> float:
        return float(context.random().random())

    @operation(dynamic=True)
    def inner() -> Any:
        graph = GraphDefinition()
        return graph, {"result": graph.add(operation(lambda a, b: (a, b)), a=graph.add(draw), b=graph.add(draw))}

    graph = GraphDefinition()
    drawn = graph.add(inner)
    first, second = (threads.run(graph, ExecutionContext(seed=3)).get_output(drawn) for _ in range(2))
    assert first == second
    assert first[0] != first[1]


def test_names_reach_logs_and_frames(threads: ExecutionEngine) -> None:
    seen = []

    @operation
    def look(context: ExecutionContext) -> None:
        seen.append(context.logger.extra["operation"])

    @operation(dynamic=True)
    def inner() -> Any:
        return alone(look)

    threads.run(alone(inner)).raise_if_failed()
    assert seen == ["inner/look"]


def test_no_worker_is_held_while_the_graph_runs() -> None:
    arrived = threading.Barrier(2, timeout=10)

    @operation
    def meet() -> None:
        arrived.wait()

    @operation(dynamic=True)
    def pair() -> Any:
        graph = GraphDefinition()
        graph.add(meet)
        return graph

    graph = GraphDefinition()
    for _ in range(2):
        graph.add(pair)
    with ExecutionEngine(max_workers=2) as engine:
        engine.run(graph).raise_if_failed()


def test_expansions_without_end_are_stopped() -> None:
    @operation(dynamic=True)
    def endless() -> Any:
        return alone(endless)

    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(alone(endless))
    assert result.get_state("endless") is S.FAILED
    message = result.get_error_message() or ""
    assert "within 1000 others" in message
    assert len(message) < 12_000


def test_a_thousand_levels_end_without_a_deep_stack() -> None:
    @operation(dynamic=True)
    def level(depth: int) -> Any:
        graph = GraphDefinition()
        below = graph.add(level, depth=depth - 1) if depth else 0
        graph.add(operation(lambda below: below + 1), below=below)
        return graph

    threading.stack_size(256 * 1024)
    try:
        with ExecutionEngine(max_workers=2) as engine:
            result = engine.submit(alone(level, depth=990)).result()
    finally:
        threading.stack_size(0)
    assert result.get_output("level") == 991


def test_what_an_expansion_asks_for_is_limited_too() -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    @operation(resources={"gpu": 1})
    def heavy(index: int) -> int:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.005)
        with lock:
            at_work -= 1
        return index

    # It holds the one that there is until it has returned, and not while its graph runs.
    @operation(dynamic=True, resources={"gpu": 1})
    def several() -> Any:
        graph = GraphDefinition()
        ends = [graph.add(heavy, index=index) for index in range(4)]
        return graph, {"result": ends[0]}

    with ExecutionEngine(max_workers=3, resources={"gpu": 1}) as engine:
        engine.run(alone(several)).raise_if_failed()
    assert most == 1


def test_values_inside_are_let_go_with_their_last_consumer(threads: ExecutionEngine) -> None:
    class Thing:
        pass

    alive: list[Any] = []

    @operation
    def make() -> Any:
        thing = Thing()
        alive.append(weakref.ref(thing))
        return thing

    @operation
    def use(thing: Any) -> int:
        return 1

    @operation(dynamic=True)
    def inner() -> Any:
        graph = GraphDefinition()
        graph.add(use, thing=graph.add(make))
        return graph

    graph = GraphDefinition()
    graph.add(operation(lambda done: [thing() for thing in alive]), done=graph.add(inner))
    assert threads.run(graph).get_output("lambda") == [None]


def test_a_run_with_expansions_is_collected_as_garbage(threads: ExecutionEngine) -> None:
    class Thing:
        result: Any = None

    @operation(dynamic=True)
    def inner() -> Any:
        graph = GraphDefinition()
        graph.add(lambda: Thing())
        return graph

    result = threads.run(alone(inner))
    thing = result.get_output("inner")
    thing.result = result  # a cycle through the values of the run
    gone = weakref.ref(thing)
    del thing, result
    gc.collect()
    assert gone() is None


def test_time_limit_is_for_the_operation_itself(threads: ExecutionEngine) -> None:
    @operation
    def slow() -> int:
        time.sleep(0.1)
        return 1

    @operation(dynamic=True, timeout_seconds=0.05)
    def inner(seconds: float) -> Any:
        time.sleep(seconds)
        return alone(slow)

    assert threads.run(alone(inner, seconds=0)).get_output("inner") == 1
    assert "inner" in str(error_of(threads, inner, seconds=5))

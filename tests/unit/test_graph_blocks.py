"""Graphs that are built by calls in a ``with`` block, and where in the code an operation was added."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from execution_dataflow import (
    CycleError,
    DuplicateNameError,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    GraphValidationError,
    InputPort,
    Operation,
    OutputPort,
    PortTypeError,
    UnconnectedInputError,
    UnknownPortError,
    operation,
)
from execution_dataflow.active_graphs import OPEN_BLOCKS, active_graph


@operation
def load(path: str) -> bytes:
    return path.encode()


@operation
def clean(raw: bytes, *, limit: int = 9) -> bytes:
    return raw.strip()[:limit]


@operation(outputs=("head", "tail"))
def split(raw: bytes, at: int = 1) -> tuple[bytes, bytes]:
    return raw[:at], raw[at:]


@operation
def tell(context: ExecutionContext, text: bytes) -> str:
    return f"{context.run_id}: {text.decode()}"


class Loud(Operation):
    raw = InputPort(bytes)
    ending = InputPort(bytes, default=b"!")
    loud = OutputPort(bytes)

    def execute(self, context: object) -> None:
        self.loud = clean(self.raw).upper() + self.ending


def channels(graph: GraphDefinition) -> list[str]:
    return [str(channel) for channel in graph.channels]


def here() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_call_of_a_function_adds_it_and_returns_the_operation() -> None:
    with GraphDefinition("etl") as graph:
        source = load(" a.csv ")
        last = clean(source, limit=3)
    assert graph.operations == (source, last)
    assert channels(graph) == ["load.result -> clean.raw"]
    result = ExecutionEngine().run(graph)
    assert result.get_output(last) == b"a.c"  # type: ignore[arg-type]


def test_calls_nest_as_they_are_written() -> None:
    with GraphDefinition() as graph:
        clean(load("x"))
    assert channels(graph) == ["load.result -> clean.raw"]


def test_call_of_an_operation_adds_it() -> None:
    with GraphDefinition() as graph:
        first = Loud(name="first")(load("x"))
        second = Loud()(raw=first, ending=b"?")
    assert isinstance(second, Loud)
    assert channels(graph) == ["load.result -> first.raw", "first.loud -> Loud.raw"]
    assert ExecutionEngine().run(graph).get_output(second) == b"X!?"


def test_options_are_given_by_new() -> None:
    with GraphDefinition() as graph:
        source = load.new(name="samples", priority=3)("x")
    assert graph.operations == (source,)
    assert (source.name, source.priority) == ("samples", 3)


def test_several_outputs_are_unpacked_as_the_tuple_would_be() -> None:
    with GraphDefinition() as graph:
        head, tail = split(load("ab"))
        clean(tail)
        clean(head)
    assert channels(graph)[1:] == ["split.tail -> clean.raw", "split.head -> clean.raw"]


def test_operation_with_one_output_has_nothing_to_unpack() -> None:
    with GraphDefinition(), pytest.raises(TypeError, match="has one output"):
        _, _ = load("ab")  # type: ignore[misc]


def test_context_is_no_input_of_a_call() -> None:
    with GraphDefinition() as graph:
        told = tell(text=load("x"))  # type: ignore[call-arg]
        again = tell(load("y"))  # type: ignore[call-arg, arg-type]
    result = ExecutionEngine().run(graph, ExecutionContext(run_id="r"))
    assert [result.get_output(one) for one in (told, again)] == ["r: x", "r: y"]  # type: ignore[arg-type]


def test_function_is_a_function_outside_and_afterwards() -> None:
    assert load("x") == b"x"
    with GraphDefinition():
        pass
    assert load("x") == b"x"
    assert not OPEN_BLOCKS


def test_error_within_a_block_closes_it() -> None:
    with pytest.raises(ZeroDivisionError), GraphDefinition():
        1 / 0
    assert active_graph() is None
    assert load("x") == b"x"


def test_blocks_nest() -> None:
    with GraphDefinition("outer") as outer:
        load("a")
        with GraphDefinition("inner") as inner:
            load("b")
            load("c")
        load("d")
    assert (len(outer), len(inner)) == (2, 2)


def test_block_can_be_opened_again() -> None:
    graph = GraphDefinition()
    with graph:
        first = load("a")
    with graph:
        clean(first)
    assert channels(graph) == ["load.result -> clean.raw"]


@pytest.mark.parametrize("options", [{"max_workers": 1}, {"max_workers": 2}])
def test_operation_that_runs_within_a_block_calls_functions(options: dict[str, Any]) -> None:
    work = GraphDefinition("work")
    loud = work.add(Loud(), raw=b" x ")
    with GraphDefinition("outer") as outer:
        result = ExecutionEngine(**options).run(work)
        load("a")
    assert result.get_output(loud) == b"X!"
    assert len(outer) == 1


def test_operation_may_build_a_graph_of_its_own() -> None:
    def build(text: str) -> bytes:
        with GraphDefinition("inner") as inner:
            last = clean(load(text))
        assert load("still a function") == b"still a function"
        return ExecutionEngine().run(inner).get_output(last)  # type: ignore[arg-type]

    graph = GraphDefinition()
    built = graph.add(build, text=" x ")
    with graph:
        assert ExecutionEngine(max_workers=1).run(graph).get_output(built) == b"x"
    assert len(graph) == 1


def test_coroutine_that_runs_within_a_block_calls_functions() -> None:
    @operation
    async def fetch(name: str) -> bytes:
        await asyncio.sleep(0)
        return load(name)

    with GraphDefinition() as graph:
        fetched = fetch("x")
        assert ExecutionEngine().run(graph).get_output(fetched) == b"x"  # type: ignore[call-overload]


def test_block_is_not_open_in_another_thread() -> None:
    seen: list[object] = []
    with GraphDefinition() as graph:
        thread = threading.Thread(target=lambda: seen.append(load("x")))
        thread.start()
        thread.join(10)
    assert seen == [b"x"]
    assert len(graph) == 0


def test_two_threads_build_two_graphs() -> None:
    barrier = threading.Barrier(2)
    built: dict[str, list[str]] = {}

    def build(name: str) -> None:
        with GraphDefinition(name) as graph:
            for _ in range(200):
                barrier.wait(10)
                clean(load(name))
        built[name] = channels(graph)

    threads = [threading.Thread(target=build, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(built["a"]) == len(built["b"]) == 200


def test_closing_a_block_of_another_thread_is_refused() -> None:
    graph = GraphDefinition("etl")
    with pytest.raises(GraphError, match="the block of etl was not opened on this thread"):
        graph.__exit__()


def test_mistakes_are_those_of_add() -> None:
    with GraphDefinition() as graph:
        with pytest.raises(UnknownPortError, match="did you mean 'raw'"):
            clean(rwa=load("x"))  # type: ignore[call-arg]
        with pytest.raises(PortTypeError, match="the constant for clean"):
            clean(3)  # type: ignore[arg-type]
    assert len(graph) == 1


def test_too_many_inputs_by_position_are_refused() -> None:
    with GraphDefinition() as graph:
        with pytest.raises(TypeError, match=r"clean takes 1 inputs by position \(raw\), and 2 were given"):
            clean(b"x", 3)  # type: ignore[misc]
        with pytest.raises(TypeError, match=r"Loud takes 2 inputs by position \(raw, ending\), and 3 were given"):
            Loud()(b"x", b"y", b"z")
        with pytest.raises(TypeError, match="'raw' both by position and by keyword"):
            clean(b"x", raw=b"y")  # type: ignore[misc]
    assert len(graph) == 0


def test_call_of_an_operation_outside_of_a_block_says_what_to_do() -> None:
    with pytest.raises(GraphError, match=r"Loud was called where no graph is being built: .* use graph.add\(\)"):
        Loud()(raw=b"x")


def test_operation_of_another_graph_is_told_as_before() -> None:
    graph, other = GraphDefinition("etl"), Loud()
    mine = graph.add(Loud(), raw=b"x")
    with pytest.raises(GraphError, match="Loud is not an operation of etl"):
        graph.connect(other, "loud", mine, "ending")


# ---------------------------------------------------------------- where operations were added


def place(line: int) -> str:
    return f"{Path(__file__)}:{line}"


def faults_of(graph: GraphDefinition) -> tuple[GraphError, ...]:
    with pytest.raises(GraphValidationError) as caught:
        graph.validate()
    return caught.value.faults


def test_unconnected_input_says_where_its_operation_was_added() -> None:
    graph = GraphDefinition("etl")
    graph.add(Loud())
    added = here() - 1
    (fault,) = faults_of(graph)
    assert isinstance(fault, UnconnectedInputError)
    assert fault.place == place(added)
    assert str(fault).endswith(f"or make it optional (Loud added at {place(added)})")


def test_every_way_of_adding_is_told_as_the_line_of_the_user() -> None:
    graph = GraphDefinition()
    lines = []
    with graph:
        clean()  # type: ignore[call-arg]
        lines.append(here() - 1)
        Loud()()
        lines.append(here() - 1)
    graph.add_operation(Loud())
    lines.append(here() - 1)
    graph.add_many(clean, 3)
    lines += [here() - 1] * 3
    graph.add_many([Loud(), Loud()])
    lines += [here() - 1] * 2
    graph.map(clean, over=graph.add(lambda: [b"x"]))
    lines += [here() - 1] * 2
    assert [graph._building.place_of(one) for one in graph.operations] == list(map(place, lines))


def test_loop_is_one_place_and_two_lines_are_two() -> None:
    graph = GraphDefinition()
    for _ in range(3):
        first = graph.add(clean)
        second = graph.add_operation(Loud())
    end = here()
    assert graph._building.place_of(first) == place(end - 2)
    assert graph._building.place_of(second) == place(end - 1)
    assert [graph._building.place_of(one) for one in graph.operations] == [place(end - 2), place(end - 1)] * 3


def test_cycle_says_where_its_operations_were_added() -> None:
    graph = GraphDefinition()
    first, second = graph.add(Loud(name="a")), graph.add(Loud(name="b"))
    added = place(here() - 1)
    graph.connect(first, "loud", second, "raw")
    graph.connect(second, "loud", first, "raw")
    (fault,) = faults_of(graph)
    assert isinstance(fault, CycleError)
    assert fault.places == {"a": added, "b": added}
    assert str(fault).endswith(f"(a added at {added}, b added at {added})")


def test_long_cycle_names_a_few_places() -> None:
    graph = GraphDefinition()
    nodes = [graph.add(Loud()) for _ in range(20)]
    for one, next_one in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        graph.connect(one, "loud", next_one, "raw")
    (fault,) = faults_of(graph)
    assert isinstance(fault, CycleError)
    assert len(fault.places) == 20
    assert str(fault).endswith(" and 15 more)")


def test_name_given_twice_says_both_places() -> None:
    graph = GraphDefinition()
    graph.add(load.new(name="x"), path="a")
    graph.add(load.new(name="x"), path="b")
    end = here()
    (fault,) = faults_of(graph)
    assert isinstance(fault, DuplicateNameError)
    assert fault.places == (place(end - 2), place(end - 1))
    assert f"load added at {place(end - 2)}, load added at {place(end - 1)}" in str(fault)


def test_place_of_what_was_refused_is_not_kept() -> None:
    graph = GraphDefinition()
    with pytest.raises(PortTypeError):
        graph.add_many(clean, raw=[b"x", 3])
    one = graph.add(clean)
    assert graph._building.place_of(one) == place(here() - 1)


def test_places_let_the_graph_be_collected() -> None:
    class Local(Operation):
        def execute(self, context: object) -> None:
            pass

    def build() -> weakref.ref[Operation]:
        graph = GraphDefinition()
        graph.back = graph  # type: ignore[attr-defined] # a circle that only the collector finds
        return weakref.ref(graph.add(Local()))

    gone = build()
    gc.collect()
    assert gone() is None

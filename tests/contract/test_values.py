"""D1 and D3: values pass by reference, and leave with their last consumer."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from patience import await_event, eventually

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    NoValueError,
    Operation,
    OutputPort,
    RetryPolicy,
    UnknownOperationError,
    UnknownPortError,
    ValueReleasedError,
    operation,
)


class Held:
    """Something that a weak reference can watch."""


@pytest.fixture(autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """Values leave by themselves, not because a collector comes along."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Source(Operation):
    left = OutputPort(Held)
    right = OutputPort(Held)

    def __init__(self) -> None:
        super().__init__()
        self.made: list[weakref.ref[Held]] = []

    def execute(self, context: ExecutionContext) -> None:
        left, right = Held(), Held()
        self.made = [weakref.ref(left), weakref.ref(right)]
        self.left, self.right = left, right

    def alive(self) -> list[bool]:
        return [ref() is not None for ref in self.made]


@operation
def identity(value: object) -> object:
    return value


@operation
async def identity_async(value: object) -> object:
    await asyncio.sleep(0)
    return value


@operation
def consume(value: object) -> None:
    return None


@operation
async def consume_async(value: object) -> None:
    await asyncio.sleep(0)


class ConsumeInput(Operation):
    value = InputPort(object)

    def execute(self, context: ExecutionContext) -> None:
        assert self.value is not None


class ConsumeInputAsync(Operation):
    value = InputPort(object)

    async def execute(self, context: ExecutionContext) -> None:
        await asyncio.sleep(0)
        assert self.value is not None


@pytest.mark.parametrize("link", [identity, identity_async])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_value_passes_by_reference(link: object, workers: int) -> None:
    marker = [1, 2, 3]
    graph = GraphDefinition()
    last = graph.add(identity, value=marker)
    for _ in range(20):
        last = graph.add(link, value=last)  # type: ignore[call-overload]
    with ExecutionEngine(max_workers=workers) as engine:
        assert engine.run(graph).get_output(last) is marker


def test_all_consumers_get_the_same_object() -> None:
    graph = GraphDefinition()
    source = graph.add(lambda: Held())
    nodes = [graph.add(identity, value=source) for _ in range(5)]
    with ExecutionEngine(max_workers=3) as engine:
        result = engine.run(graph)
    assert len({id(result.get_output(node)) for node in nodes}) == 1


@pytest.mark.parametrize("consumer", [consume, consume_async, ConsumeInput, ConsumeInputAsync])
@pytest.mark.parametrize("fails", [False, True])
def test_a_value_is_gone_as_soon_as_its_last_consumer_is_done(consumer: object, fails: bool) -> None:
    source = Source()
    seen: list[list[bool]] = []
    graph = GraphDefinition()
    graph.add(source)
    first = graph.add(consumer() if isinstance(consumer, type) else consumer, value=source["left"])  # type: ignore[operator]

    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def second(value: object, context: ExecutionContext) -> None:
        if fails and context.attempt == 1:
            raise OSError("busy")

    @operation
    def look() -> None:
        # The task of a coroutine ends a moment after its outcome.
        eventually(lambda: not source.alive()[0], 1)
        seen.append(source.alive())

    other = graph.add(second, value=source["left"])
    looking = graph.add(look)
    graph.add_dependency(first, looking)
    graph.add_dependency(other, looking)
    graph.add_dependency(looking, graph.add(consume, value=source["right"]))
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    result.raise_if_failed()
    assert seen == [[False, True]]
    assert source.alive() == [False, False]


def test_a_value_is_gone_while_other_operations_still_run() -> None:
    source = Source()
    go_on = threading.Event()
    graph = GraphDefinition()
    graph.add(source)
    graph.add(consume, value=source["left"])
    graph.add(consume, value=source["right"])
    graph.add(lambda: await_event(go_on))
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        assert eventually(lambda: source.made and source.alive() == [False, False])
        assert not handle.done()
        go_on.set()
        assert handle.result(20).is_successful()


@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_a_value_whose_consumers_never_run_is_gone_too(policy: str) -> None:
    source = Source()
    graph = GraphDefinition()

    def fail() -> None:
        raise ValueError("no")

    broken = graph.add(fail)
    graph.add(source)
    for output in ("left", "right"):
        waits = graph.add(consume, value=source[output])
        graph.add_dependency(broken, waits)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph, failure_policy=policy)
    assert not result.is_successful()
    assert not any(source.alive())


def test_terminal_values_are_kept_as_the_identical_object_and_go_with_the_result() -> None:
    source = Source()
    graph = GraphDefinition()
    graph.add(source)
    graph.add(consume, value=source["right"])
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
        assert source.alive() == [True, False]
        assert result.get_output(source, "left") is source.made[0]()
        with pytest.raises(ValueReleasedError, match="retain"):
            result.get_output(source, "right")
        del result
        assert source.alive() == [False, False]


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_a_result_goes_without_the_garbage_collector(way: str, listens: bool) -> None:
    source = Source()
    graph = GraphDefinition()
    graph.add(source)
    graph.add(identity_async, value=1)
    with ExecutionEngine(max_workers=1) as engine:
        if listens:
            engine.subscribe(lambda event: None)
        if way == "run":
            result = engine.run(graph)
        elif way == "submit":
            result = engine.submit(graph).result(20)
        else:
            result = asyncio.run(engine.run_async(graph))
        assert source.alive() == [True, True]
        del result
        assert eventually(lambda: not any(source.alive()), 2)


@pytest.mark.parametrize("where", ["engine", "run"])
def test_retain_all_keeps_everything(where: str) -> None:
    source = Source()
    graph = GraphDefinition()
    graph.add(source)
    graph.add(consume, value=source["left"])
    options = {"retain": "all"}
    with ExecutionEngine(max_workers=1, **(options if where == "engine" else {})) as engine:
        result = engine.run(graph, **({} if where == "engine" else options))
    assert source.alive() == [True, True]
    assert set(result.outputs()["Source"]) == {"left", "right"}


@pytest.mark.parametrize("form", ["operation", "name", "pair", "named pair", "reference"])
def test_retain_names_operations_and_ports(form: str) -> None:
    source, other = Source(), Source()
    graph = GraphDefinition()
    for each in (source, other):
        graph.add(each)
        graph.add(consume, value=each["left"])
        graph.add(consume, value=each["right"])
    retain = {
        "operation": source,
        "name": "Source",
        "pair": (source, "left"),
        "named pair": ("Source", "left"),
        "reference": source["left"],
    }[form]
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph, retain=[retain])
    both = form in ("operation", "name")
    assert source.alive() == [True, both]
    assert other.alive() == [False, False]
    assert result.get_output(source, "left") is source.made[0]()


def test_retain_that_means_nothing_is_refused_before_anything_runs() -> None:
    source = Source()
    graph = GraphDefinition()
    graph.add(source)
    stranger = Source()
    with ExecutionEngine(max_workers=1) as engine:
        with pytest.raises(ValueError, match="everything"):
            engine.run(graph, retain="everything")
        with pytest.raises(UnknownOperationError):
            engine.run(graph, retain=[stranger])
        with pytest.raises(UnknownPortError, match="left"):
            engine.run(graph, retain=[(source, "lefft")])
        with pytest.raises(TypeError):
            engine.run(graph, retain=[42])
    assert source.made == []


def test_values_that_nobody_kept_or_made_are_named_errors() -> None:
    class Branch(Operation):
        maybe = OutputPort(int, optional=True)

        def execute(self, context: ExecutionContext) -> None: ...

    graph = GraphDefinition()
    branch = graph.add(Branch())
    skipped = graph.add(identity, value=branch)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph, retain="all")
    with pytest.raises(NoValueError, match="not taken"):
        result.get_output(branch)
    with pytest.raises(NoValueError, match="skipped"):
        result.get_output(skipped)


def test_a_finaliser_may_run_another_graph() -> None:
    """Values leave with nothing held that their finalisers could need."""
    ran: list[bool] = []

    class Final:
        def __del__(self) -> None:
            graph = GraphDefinition()
            graph.add(lambda: 1)
            ran.append(engine.run(graph).is_successful())

    graph = GraphDefinition()
    graph.add(consume, value=graph.add(lambda: Final()))
    graph.add(lambda: Final())
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph)
        del result
        assert ran == [True, True]

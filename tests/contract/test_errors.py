"""R7: an exception keeps what it is, and what is kept of it pins nothing that it need not."""

from __future__ import annotations

import asyncio
import gc
import threading
import traceback
import weakref

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    RunInterrupted,
    RunState,
    operation,
)


class Held:
    """Something that a weak reference can watch."""


def run(graph: GraphDefinition, workers: int = 1) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers, failure_policy="continue") as engine:
        return engine.run(graph)


def raising(error: BaseException, way: str) -> GraphDefinition:
    """A graph of one operation that raises, as a function, a class or a coroutine."""

    class Raises(Operation):
        def execute(self, context: ExecutionContext) -> None:
            raise error

    class RaisesAsync(Operation):
        async def execute(self, context: ExecutionContext) -> None:
            await asyncio.sleep(0)
            raise error

    def function() -> None:
        raise error

    graph = GraphDefinition()
    graph.add({"function": operation(name="raises")(function), "class": Raises(), "async": RaisesAsync()}[way])
    return graph


WAYS = ["function", "class", "async"]


@pytest.mark.parametrize("way", WAYS)
def test_type_identity_cause_and_traceback_are_kept(way: str) -> None:
    def deep() -> None:
        try:
            {}["key"]
        except KeyError as error:
            raise LookupError("outer") from error

    class Fails(Operation):
        def execute(self, context: ExecutionContext) -> None:
            deep()

    class FailsAsync(Operation):
        async def execute(self, context: ExecutionContext) -> None:
            await asyncio.sleep(0)
            deep()

    graph = GraphDefinition()
    graph.add({"function": operation(deep), "class": Fails(), "async": FailsAsync()}[way])
    record = run(graph).first_error
    assert record is not None
    error = record.exception
    assert type(error) is LookupError
    assert isinstance(error.__cause__, KeyError)
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames == {"function": ["deep"], "class": ["execute", "deep"], "async": ["execute", "deep"]}[way]
    assert "KeyError: 'key'" in record.traceback_text
    assert "LookupError: outer" in record.traceback_text
    assert str(record.where).endswith("in deep")


@pytest.mark.parametrize("way", WAYS)
def test_no_frame_of_the_engine_is_in_the_way(way: str) -> None:
    record = run(raising(ValueError("no"), way)).first_error
    assert record is not None
    files = {frame.filename for frame in traceback.extract_tb(record.exception.__traceback__)}
    assert files == {__file__}
    assert "execution_dataflow" not in record.traceback_text.replace(__file__, "")


@pytest.mark.parametrize("workers", [1, 3])
def test_the_exception_is_the_very_object_that_was_raised(workers: int) -> None:
    error = ValueError("no")
    result = run(raising(error, "function"), workers)
    assert result.errors[0].exception is error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error", [SystemExit(3), StopIteration(1), StopAsyncIteration(), GeneratorExit(), asyncio.CancelledError()]
)
def test_exceptions_with_a_meaning_of_their_own_fail_the_operation(error: BaseException, way: str) -> None:
    result = run(raising(error, way))
    assert result.state is RunState.FAILED
    assert result.errors[0].operation.lower().startswith("raises")
    kinds = {type(error)}
    if way == "async" and isinstance(error, StopIteration):
        kinds.add(RuntimeError)  # what Python itself makes of a StopIteration in a coroutine
    assert type(result.errors[0].exception) in kinds


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("submits", [False, True])
def test_a_keyboard_interrupt_in_an_operation_ends_the_run(way: str, submits: bool) -> None:
    graph = raising(KeyboardInterrupt(), way)
    with ExecutionEngine(max_workers=1) as engine:
        with pytest.raises(RunInterrupted) as caught:
            engine.submit(graph).result(20) if submits else engine.run(graph)
        assert caught.value.result.state is RunState.CANCELLED
        assert engine.run(GraphDefinition()).is_successful()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class MuteAndUnprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__


class NotPicklable(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("cannot be pickled")


@pytest.mark.parametrize("kind", [Mute, MuteAndUnprintable, NotPicklable])
@pytest.mark.parametrize("retries", [False, True])
def test_exceptions_that_cannot_be_shown_or_pickled_are_reported(kind: type[Exception], retries: bool) -> None:
    events: list[object] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2) if retries else None)
    def fails() -> None:
        raise kind()

    graph = GraphDefinition()
    graph.add(fails)
    with ExecutionEngine(max_workers=1) as engine, engine.subscribe(events.append):
        result = engine.run(graph)
    assert type(result.errors[0].exception) is kind
    assert kind.__name__ in str(result.get_error_message())
    assert kind.__name__ in result.summary()
    assert kind.__name__ in repr(result)
    assert kind.__name__ in result.errors[0].traceback_text
    assert len(events) == (6 if retries else 4)


def test_the_message_is_one_readable_paragraph() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def load() -> None:
        raise OSError("disk full\n\nreally")

    graph = GraphDefinition()
    graph.add(load)
    message = str(run(graph).get_error_message())
    assert "\n\n" not in message
    for part in ("'load'", "attempt 2 of 2", "OSError: disk full", "test_errors.py", "in load"):
        assert part in message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("succeeds", [True, False])
def test_superseded_attempts_pin_nothing(way: str, succeeds: bool) -> None:
    held: list[weakref.ref[Held]] = []
    alive: list[int] = []

    def act(context: ExecutionContext) -> None:
        array = Held()
        alive.append(sum(ref() is not None for ref in held))
        held.append(weakref.ref(array))
        if context.attempt < 3 or not succeeds:
            raise OSError(f"attempt {context.attempt}")

    class Act(Operation):
        def execute(self, context: ExecutionContext) -> None:
            act(context)

    class ActAsync(Operation):
        async def execute(self, context: ExecutionContext) -> None:
            await asyncio.sleep(0)
            act(context)

    policy = RetryPolicy(max_attempts=3)
    kinds = {"class": Act, "async": ActAsync}
    graph = GraphDefinition()
    graph.add(kinds[way](retry_policy=policy) if way in kinds else operation(retry_policy=policy)(act))
    gc.disable()
    try:
        result = run(graph)
        assert alive == [0, 0, 0], "an attempt began while an earlier one was still held"
        last = 0 if succeeds else 1
        assert [ref() is not None for ref in held] == [False, False, bool(last)]
        assert result.is_successful() == succeeds
        del result
        # Without the garbage collector: no cycle of ours keeps a failed run.
        assert held[2]() is None
    finally:
        gc.enable()


def test_a_failed_run_lets_the_inputs_of_the_failed_operation_go_with_its_result() -> None:
    held: list[weakref.ref[Held]] = []

    def make() -> Held:
        made = Held()
        held.append(weakref.ref(made))
        return made

    class Fails(Operation):
        given = InputPort(Held)
        out = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            value = self.given
            raise ValueError(f"cannot use {value is None}")

    graph = GraphDefinition()
    graph.add(Fails(), given=graph.add(make))
    result = run(graph)
    assert result.errors
    assert held[0]() is not None, "the frame of the failure that is reported keeps its locals"
    gc.disable()
    try:
        del result
        assert held[0]() is None
    finally:
        gc.enable()


def test_an_error_in_a_thread_of_the_pool_does_not_reach_other_operations() -> None:
    @operation
    def fails(number: int) -> int:
        if number % 3 == 0:
            raise ValueError(number)
        return number

    graph = GraphDefinition()
    nodes = [graph.add(fails, number=number) for number in range(300)]
    result = run(graph, 4)
    for number, node in enumerate(nodes):
        if number % 3 == 0:
            assert result.get_state(node) is OperationState.FAILED
        else:
            assert result.get_output(node) == number
    assert sorted(record.exception.args[0] for record in result.errors) == list(range(0, 300, 3))
    assert all(record.exception.__context__ is None for record in result.errors)

"""R2, R5: what an operation declares as ``on_failure=`` stands in when its last attempt has failed."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
from patience import await_event

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    FallbackValue,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationCompleted,
    OperationFailed,
    OperationFellBack,
    OperationStarted,
    OperationState,
    OutputNotSetError,
    OutputPort,
    RetryPolicy,
    operation,
)

SUCCEEDED, FAILED, CANCELLED = OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED


def broken(city: str = "Oslo") -> int:
    raise OSError(f"no station in {city}")


async def broken_later(city: str = "Oslo") -> int:
    await asyncio.sleep(0)
    raise OSError(f"no station in {city}")


BOTH = pytest.mark.parametrize("function", [broken, broken_later])


def run_one(made: Any, **options: Any) -> tuple[Any, Any]:
    graph = GraphDefinition()
    added = graph.add(made)
    after = graph.add(lambda value: value, value=added)
    with ExecutionEngine(**options) as engine:
        return engine.run(graph, retain="all"), after


def test_a_summary_says_what_stood_in_also_after_a_long_message() -> None:
    @operation(on_failure=-1)
    def wordy() -> int:
        raise OSError("a very long explanation " * 20)

    graph = GraphDefinition()
    graph.add(wordy)
    summary = ExecutionEngine().run(graph).summary()
    assert "Operation 'wordy' failed: OSError: a very long explanation" in summary
    assert "A value stood in for it." in summary


@BOTH
def test_a_value_stands_in_and_the_result_says_so(function: Any) -> None:
    result, after = run_one(operation(on_failure=-1)(function))
    assert result.is_successful()
    assert result.get_output(after) == -1
    name = function.__name__
    assert result.get_state(name) is SUCCEEDED
    [failure] = result.fallbacks
    assert (failure.operation, failure.fallback, str(failure.exception)) == (name, "a value", "no station in Oslo")
    assert result.errors == []
    assert result.get_error_message() is None
    assert f"Operation '{name}' failed: OSError: no station in Oslo" in result.summary()
    assert "A value stood in for it." in result.summary()


@BOTH
def test_a_function_stands_in_with_the_same_inputs_and_the_error(function: Any) -> None:
    def forecast(city: str, error: Exception, scale: int = 10) -> int:
        return len(city) * scale + len(str(error))

    result, after = run_one(operation(on_failure=forecast)(function).new())
    assert result.get_output(after) == 40 + len("no station in Oslo")
    assert result.fallbacks[0].fallback == "forecast"
    timing = result.get_timing(function.__name__)
    assert timing is not None
    assert timing.attempts == 2


@BOTH
def test_a_coroutine_stands_in(function: Any) -> None:
    async def forecast(city: str) -> int:
        await asyncio.sleep(0)
        return len(city)

    result, after = run_one(operation(on_failure=forecast)(function))
    assert result.get_output(after) == 4


class Measure(Operation):
    city = InputPort(str, default="Oslo")
    low = OutputPort(int)
    high = OutputPort(int)
    note = OutputPort(str, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        self.low = 1
        raise OSError("half-way")


class Recall(Operation):
    city = InputPort(str)
    high = OutputPort(int)
    low = OutputPort(int)
    source = OutputPort(str, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        self.high, self.low = len(self.city), 0


def test_an_operation_stands_in_by_the_names_of_its_outputs() -> None:
    graph = GraphDefinition()
    measured = graph.add(Measure(on_failure=Recall()))
    result = ExecutionEngine().run(graph)
    assert [result.get_output(measured, name) for name in ("low", "high")] == [0, 4]
    assert result.fallbacks[0].fallback == "Recall"


def test_a_mapping_stands_in_for_several_outputs() -> None:
    graph = GraphDefinition()
    measured = graph.add(Measure(on_failure={"low": 0, "high": 9}))
    result = ExecutionEngine().run(graph)
    assert [result.get_output(measured, name) for name in ("low", "high")] == [0, 9]
    assert "note" not in result.outputs()["Measure"]


def test_a_function_that_stands_in_for_several_outputs_returns_a_tuple() -> None:
    graph = GraphDefinition()

    class Pair(Measure):
        on_failure = lambda city: (3, 4)  # noqa: E731

        note = None  # type: ignore[assignment]

    measured = graph.add(Pair())
    result = ExecutionEngine().run(graph)
    assert [result.get_output(measured, name) for name in ("low", "high")] == [3, 4]


def test_a_fallback_value_can_be_anything() -> None:
    for value in (None, len, dict, Measure()):
        result, after = run_one(operation(on_failure=FallbackValue(value))(lambda: 1 / 0))
        assert result.get_output(after) is value


def test_the_fallback_comes_after_the_last_attempt() -> None:
    attempts: list[int] = []

    @operation(retry_policy=RetryPolicy(max_attempts=3), on_failure="spare")
    def flaky(context: ExecutionContext) -> str:
        attempts.append(context.attempt)
        raise OSError(f"attempt {context.attempt}")

    result, after = run_one(flaky)
    assert attempts == [1, 2, 3]
    assert result.get_output(after) == "spare"
    assert result.fallbacks[0].earlier == ("OSError: attempt 1", "OSError: attempt 2")


def test_a_fallback_has_retries_and_a_fallback_of_its_own() -> None:
    attempts: list[int] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2), on_failure="last resort")
    def second(error: Exception) -> str:
        attempts.append(1)
        raise KeyError(str(error))

    result, after = run_one(operation(on_failure=second)(broken_text))
    assert len(attempts) == 2
    assert result.get_output(after) == "last resort"
    [failure] = result.fallbacks
    assert isinstance(failure.exception, OSError)
    assert failure.fallback == "a value"


def broken_text() -> str:
    raise OSError("first")


def test_a_fallback_that_fails_fails_the_operation_and_does_not_hide_the_first_error() -> None:
    def spare() -> str:
        raise KeyError("no spare")

    result, _ = run_one(operation(on_failure=spare)(broken_text))
    assert result.get_state("broken_text") is FAILED
    assert result.fallbacks == []
    error = result.first_error
    assert isinstance(error.exception, KeyError)
    assert isinstance(error.exception.__context__, OSError)
    message = result.get_error_message()
    assert "no spare" in message
    assert "raised by spare, which stood in after OSError: first" in message
    assert "Earlier attempts: (1) OSError: first" in message


def test_a_broken_contract_is_no_failure_to_fall_back_on() -> None:
    class Forgets(Operation):
        value = OutputPort(int)
        on_failure = 3

        def execute(self, context: ExecutionContext) -> None:
            pass

    graph = GraphDefinition()
    graph.add(Forgets())
    result = ExecutionEngine().run(graph)
    assert isinstance(result.first_error.exception, OutputNotSetError)  # type: ignore[union-attr]


def test_what_a_fallback_returns_is_checked_as_the_output_of_the_operation() -> None:
    result, _ = run_one(operation(on_failure=lambda city: "warm")(broken))
    assert result.get_state("broken") is FAILED
    assert "expected int, got str" in result.get_error_message()


def test_a_cancelled_operation_falls_back_on_nothing() -> None:
    def stop(context: ExecutionContext) -> int:
        handle.cancel()
        context.raise_if_cancelled()
        raise AssertionError

    graph = GraphDefinition()
    gate = threading.Event()

    def wait_and_stop(context: ExecutionContext) -> int:
        assert gate.wait(10)
        return stop(context)

    stopped = graph.add(operation(on_failure=1)(wait_and_stop))
    with ExecutionEngine() as engine:
        handle = engine.submit(graph)
        gate.set()
        result = handle.result(10)
    assert result.get_state(stopped) is CANCELLED
    assert result.fallbacks == []


def test_after_the_run_has_stopped_a_value_stands_in_and_an_operation_does_not_start() -> None:
    has_stopped = threading.Event()

    def late() -> int:
        await_event(has_stopped)
        raise OSError("late")

    def fail() -> None:
        raise ValueError("stop")

    def run_with(fallback: Any) -> tuple[Any, Any]:
        has_stopped.clear()
        graph = GraphDefinition()
        added = graph.add(operation(on_failure=fallback)(late))
        graph.add(fail)
        # The event of the failure comes after the run was stopped, or in the same breath.
        with ExecutionEngine(max_workers=2) as engine, engine.subscribe(note, OperationFailed):
            return engine.run(graph), added

    def note(event: OperationFailed) -> None:
        if event.operation == "fail":
            time.sleep(0.05)
            has_stopped.set()

    result, by_value = run_with(7)
    assert (result.get_state(by_value), result.get_output(by_value)) == (SUCCEEDED, 7)
    result, by_operation = run_with(lambda: 7)
    assert result.get_state(by_operation) is FAILED
    assert {str(error.exception) for error in result.errors} == {"late", "stop"}


def test_the_events_tell_of_the_failure_and_what_stood_in() -> None:
    events: list[Event] = []
    graph = GraphDefinition()
    graph.add(operation(on_failure=lambda city: 4)(broken))
    with ExecutionEngine() as engine, engine.subscribe(events.append):
        engine.run(graph)
    kinds = [type(event) for event in events[1:-1]]
    assert kinds == [OperationStarted, OperationFellBack, OperationStarted, OperationCompleted]
    told = events[2]
    assert isinstance(told, OperationFellBack)
    assert (told.operation, told.attempt, told.fallback) == ("broken", 1, "lambda")
    assert told.message == "OSError: no station in Oslo"
    assert isinstance(told.error, OSError)


def test_a_writing_operation_leaves_the_array_whole_for_its_fallback() -> None:
    class Spoil(Operation):
        values = InputPort(np.ndarray, mutable=True)
        total = OutputPort(float)

        def execute(self, context: ExecutionContext) -> None:
            self.values[:] = -1
            raise OSError("after writing")

    graph = GraphDefinition()
    total = graph.add(Spoil(on_failure=lambda values: float(values.sum())), values=graph.add(lambda: np.ones(5)))
    result = ExecutionEngine().run(graph)
    assert result.get_output(total) == 5.0


def test_a_fallback_serves_any_number_of_runs_and_operations() -> None:
    graph = GraphDefinition()
    spare = operation(lambda city: len(city)).new()
    made = [graph.add(operation(on_failure=spare)(broken), city="x" * n) for n in range(50)]
    for workers in (1, 4):
        result = ExecutionEngine(max_workers=workers).run(graph)
        assert [result.get_output(each) for each in made] == list(range(50))


class Texts(Operation):
    count = InputPort(int)
    text = OutputPort(str)

    def execute(self, context: ExecutionContext) -> None: ...


FAULTS = [
    (3, "Texts(on_failure=) cannot stand in for the output 'text' of Texts: expected str, got int (3)"),
    (Texts, "Texts(on_failure=Texts) is a class: give an operation, such as Texts()"),
    (operation(lambda count, rows: "").new(name="spare"), "spare needs an input 'rows', which Texts does not have"),
    (operation(lambda count: "").new(name="spare"), "spare has no output 'text', which it would have to set for Texts"),
]


@pytest.mark.parametrize(("given", "message"), FAULTS)
def test_a_fallback_that_cannot_stand_in_is_refused_before_the_run(given: Any, message: str) -> None:
    graph = GraphDefinition()
    graph.add(Texts(on_failure=given), count=1)
    with pytest.raises(GraphValidationError) as refused:
        graph.compile()
    assert message in str(refused.value)


def test_types_of_a_fallback_that_can_never_fit_are_refused() -> None:
    def wrong_output(count: int) -> int:
        return count

    def wrong_input(count: str) -> str:
        return count

    for given, message in [
        (wrong_output, "the output 'text' of wrong_output is int, and that of Texts is str"),
        (wrong_input, "the input 'count' of Texts is int, and that of wrong_input is str"),
    ]:
        graph = GraphDefinition()
        graph.add(Texts(on_failure=given), count=1)
        with pytest.raises(GraphValidationError, match=message):
            graph.compile()


def test_fallbacks_that_never_end_are_refused() -> None:
    first, second = Texts(), Texts()
    first.on_failure, second.on_failure = second, first
    graph = GraphDefinition()
    graph.add(first, count=1)
    with pytest.raises(GraphValidationError, match="never end: Texts -> Texts -> Texts"):
        graph.compile()


def test_several_outputs_take_a_mapping_of_known_names_with_all_that_are_required() -> None:
    for given, message in [
        (3, "must be a mapping of the names of its outputs to their values"),
        ({"low": 1}, "has no value for the output 'high'"),
        ({"low": 1, "hihg": 2}, "has a value for 'hihg', and Measure has no such output"),
    ]:
        graph = GraphDefinition()
        graph.add(Measure(on_failure=given))
        with pytest.raises(GraphValidationError, match=message):
            graph.compile()


def test_items_of_a_map_refuse_what_they_cannot_do_yet() -> None:
    graph = GraphDefinition()
    graph.map(operation(on_failure=1)(broken), over=["a", "b"])
    with pytest.raises(GraphValidationError, match="not available for the items of a map"):
        graph.compile()


def test_a_value_stands_in_for_a_map() -> None:
    graph = GraphDefinition()
    readings = graph.map(broken, over=["a", "b"])
    readings.on_failure = [0, 0]
    result = ExecutionEngine().run(graph)
    assert result.get_output(readings) == [0, 0]
    assert result.fallbacks[0].operation == "broken"

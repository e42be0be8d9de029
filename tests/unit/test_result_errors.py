"""What a result says about failures: in which order, which attempt, why, where, and with which exception."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from pathlib import Path

import pytest
from broken_graph import broken_graph, fail, give, run

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    RetryPolicy,
    RunCancelled,
    RunFailed,
    error_record,
    operation,
)
from execution_dataflow.error_record import ErrorRecord, exception_text
from execution_dataflow.states import RunState


def test_errors_are_in_topological_order() -> None:
    graph, _ = broken_graph()
    result = run(graph, failure_policy="continue")
    order = [operation.name for operation in graph.compile().order]
    names = [error.operation for error in result.errors]
    assert sorted(names) == ["first", "second"]
    assert names == sorted(names, key=order.index)
    assert result.first_error.operation == names[0]
    assert result.first_error.exception is result.errors[0].exception


def test_the_message_says_what_failed_why_and_where() -> None:
    graph = GraphDefinition("broken")
    graph.add(fail, value=3)
    message = run(graph).get_error_message()
    assert message.startswith("Operation 'fail' failed: ValueError: bad value 3 (at ")
    assert re.search(r"broken_graph\.py:\d+ in fail\)\.$", message)


def test_the_message_says_which_attempt_and_what_came_before() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def flaky(context: ExecutionContext) -> None:
        raise OSError(f"attempt {context.attempt}")

    graph = GraphDefinition()
    graph.add(flaky)
    result = run(graph)
    message = result.get_error_message()
    assert message.startswith("Operation 'flaky' failed on attempt 3 of 3: OSError: attempt 3 (at ")
    assert message.endswith("Earlier attempts: (1) OSError: attempt 1; (2) OSError: attempt 2.")
    assert (result.first_error.attempt, result.first_error.max_attempts) == (3, 3)


def test_the_message_counts_what_else_went_wrong() -> None:
    graph, _ = broken_graph()
    message = run(graph, failure_policy="continue").get_error_message()
    assert "1 other operation failed too: " in message
    assert "2 operations could not run because of that." in message
    assert "\n\n" not in message


def test_the_message_names_the_cause() -> None:
    @operation
    def load() -> None:
        try:
            {}["rows"]
        except KeyError as error:
            raise ValueError("no rows") from error

    graph = GraphDefinition()
    graph.add(load)
    assert "ValueError: no rows, caused by KeyError: 'rows'" in run(graph).get_error_message()


def test_the_place_is_the_users_own_line_and_not_the_librarys() -> None:
    @operation
    def load() -> None:
        import json

        json.loads("{")

    graph = GraphDefinition()
    graph.add(load)
    error = run(graph).first_error
    assert re.search(r"test_result_errors\.py:\d+ in load$", error.where)
    assert "json" in error.traceback_text


def test_the_traceback_has_no_frames_of_the_engine() -> None:
    graph = GraphDefinition()
    graph.add(fail, value=1)
    text = run(graph).first_error.traceback_text
    assert text.startswith("Traceback (most recent call last):")
    assert "broken_graph.py" in text
    assert str(Path(error_record.__file__).parent) not in text
    assert text.rstrip().endswith("ValueError: bad value 1")


def test_raise_if_failed_has_the_original_exception_as_cause() -> None:
    graph, _ = broken_graph()
    result = run(graph, failure_policy="continue")
    with pytest.raises(RunFailed, match="bad value") as caught:
        result.raise_if_failed()
    assert caught.value.result is result
    assert caught.value.operation == result.first_error.operation
    assert caught.value.__cause__ is result.first_error.exception


def test_a_cancelled_run_says_so() -> None:
    started = threading.Event()

    @operation
    def wait(context: ExecutionContext) -> int:
        started.set()
        patience = threading.Event()
        while not context.cancelled:
            patience.wait(0.001)
        return 0

    graph = GraphDefinition("long")
    graph.add(give.new(name="never"), value=graph.add(wait))
    with ExecutionEngine() as engine:
        handle = engine.submit(graph, ExecutionContext("the-run"))
        assert started.wait(30)
        handle.cancel()
        result = handle.result(timeout=30)
    assert (result.state, result.is_successful()) == (RunState.CANCELLED, False)
    assert result.get_error_message().startswith("Run 'the-run' of graph 'long' was cancelled")
    with pytest.raises(RunCancelled, match="was cancelled") as caught:
        result.raise_if_failed()
    assert caught.value.result is result


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Wordless(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


@pytest.mark.parametrize("error", [Mute(), Wordless(), SystemExit(3), StopIteration(), KeyError("rows"), ValueError()])
def test_any_exception_can_be_shown(error: BaseException) -> None:
    @operation
    def load() -> None:
        raise error

    graph = GraphDefinition("odd")
    graph.add(load)
    result = run(graph)
    assert result.first_error.exception is error
    for text in (result.get_error_message(), result.summary(), repr(result), result._repr_html_()):
        assert type(error).__name__ in text
    assert type(error).__name__ in result.first_error.traceback_text


def test_exception_text() -> None:
    assert exception_text(Mute()) == "Mute: (no text: its __str__ raised RuntimeError)"
    assert exception_text(ValueError("one\n\n\ntwo\n")) == "ValueError: one\ntwo"
    noted = ValueError("bad")
    noted.add_note("in row 7")
    assert exception_text(noted) == "ValueError: bad (in row 7)"
    long = exception_text(ValueError("x" * 10_000))
    assert len(long) < 4_100
    assert long.endswith("... (6000 more characters)")


def test_an_error_that_never_was_raised_has_no_place() -> None:
    record = ErrorRecord(0, "load", 1, 1, OSError("disk full"))
    assert record.where is None
    assert record.describe() == "Operation 'load' failed: OSError: disk full."
    assert record.traceback_text == "OSError: disk full\n"


def test_nothing_keeps_the_frames_of_a_failure_alive_after_its_result() -> None:
    class Array:
        pass

    @operation
    def load() -> None:
        array = Array()
        arrays.append(weakref.ref(array))
        raise ValueError("bad")

    arrays: list[weakref.ref[Array]] = []
    graph = GraphDefinition()
    graph.add(load)
    result = run(graph)
    assert "bad" in result.get_error_message()
    assert arrays[0]() is not None
    del result
    gc.collect()
    assert arrays[0]() is None


def test_superseded_attempts_keep_no_frames_alive() -> None:
    class Array:
        pass

    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def load(context: ExecutionContext) -> int:
        array = Array()
        arrays.append(weakref.ref(array))
        if context.attempt < 3:
            raise OSError("again")
        return context.attempt

    arrays: list[weakref.ref[Array]] = []
    graph = GraphDefinition()
    graph.add(load)
    result = run(graph)
    result.raise_if_failed()
    gc.collect()
    assert [array() for array in arrays] == [None, None, None]

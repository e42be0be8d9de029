"""Failures and deaths in worker processes are told as those on threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from process_engines import error_of, value_of

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    Operation,
    OperationState,
    OutputPort,
    RemoteTraceback,
    RetryPolicy,
    TransferError,
    WorkerDied,
    operation,
)


def raise_chained() -> None:
    try:
        {}["missing"]
    except KeyError as fault:
        raise ValueError("no such row") from fault


def set_wrong_type() -> Operation:
    class Wrong(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.rows = "three"

    return Wrong()


def set_nothing() -> Operation:
    class Unset(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            pass

    return Unset()


def ask_for_unknown_port() -> Operation:
    class Asking(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.set_output("row", 3)

    return Asking()


@pytest.mark.parametrize("make", [set_wrong_type, set_nothing, ask_for_unknown_port], ids=lambda make: make.__name__)
def test_broken_contracts_are_told_as_on_threads(
    processes: ExecutionEngine, threads: ExecutionEngine, make: Callable[[], Operation]
) -> None:
    there, here = error_of(processes, make()), error_of(threads, make())
    assert type(there[0]) is type(here[0])
    assert there[1].get_error_message() == here[1].get_error_message()


def test_exception_keeps_type_message_place_and_causes(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def fail() -> None:
        try:
            {}["missing"]
        except KeyError as fault:
            raise ValueError("no such row") from fault

    error, result = error_of(processes, fail)
    assert type(error) is ValueError
    assert isinstance(error.__cause__, RemoteTraceback)
    assert type(error.__cause__.__cause__) is KeyError
    assert '{}["missing"]' in str(error.__cause__)
    assert "execute_attempt" not in str(error.__cause__)
    assert result.get_error_message() == error_of(threads, fail)[1].get_error_message()


def test_exception_class_of_the_user_is_the_very_class(processes: ExecutionEngine) -> None:
    class Busy(Exception):
        def __init__(self, code: int, text: str) -> None:
            super().__init__(f"{code}: {text}")
            self.code = code
            self.lock = threading.Lock()

    def fail() -> None:
        raise Busy(503, "later")

    error, _ = error_of(processes, fail)
    assert type(error) is Busy
    assert str(error) == "503: later"
    assert error.code == 503


def test_system_exit_fails_the_operation_and_leaves_the_worker(processes: ExecutionEngine) -> None:
    def leave() -> None:
        raise SystemExit(3)

    before = {value_of(processes, lambda: os.getpid()) for _ in range(4)}
    assert type(error_of(processes, leave)[0]) is SystemExit
    assert {value_of(processes, lambda: os.getpid()) for _ in range(4)} <= before


@pytest.mark.parametrize(
    ("function", "inputs", "port", "says"),
    [
        (lambda x: 1, {"x": threading.Lock()}, "x", "input 'x' of lambda cannot be sent to a worker process"),
        (lambda: threading.Lock(), {}, "result", "output 'result' of lambda cannot be sent from its worker process"),
    ],
    ids=["input", "output"],
)
def test_value_that_cannot_be_sent_is_named(
    processes: ExecutionEngine, function: Any, inputs: dict[str, Any], port: str, says: str
) -> None:
    error, _ = error_of(processes, function, **inputs)
    assert isinstance(error, TransferError)
    assert error.port == port
    assert says in str(error)
    assert "executor='thread'" in str(error)


def test_operation_that_cannot_be_sent_is_named(processes: ExecutionEngine) -> None:
    lock = threading.Lock()

    def locked() -> bool:
        return lock.locked()

    error, _ = error_of(processes, locked)
    assert isinstance(error, TransferError)
    assert "locked cannot be sent to a worker process" in str(error)


# ---------------------------------------------------------------- death


def deaths() -> list[Any]:
    def killed() -> None:
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    def crashed() -> None:
        import ctypes

        ctypes.string_at(0)

    def exited() -> None:
        os._exit(3)

    return [pytest.param(killed, 9, None, id="SIGKILL"), pytest.param(crashed, 11, None, id="SIGSEGV"),
            pytest.param(exited, None, 3, id="os._exit")]  # fmt: skip


@pytest.mark.parametrize(("die", "number", "code"), deaths())
def test_death_fails_the_one_operation_that_ran(
    processes: ExecutionEngine, die: Any, number: int | None, code: int | None
) -> None:
    graph = GraphDefinition("deaths")
    dying = graph.add(operation(name="dying")(die))
    others = [graph.add(lambda x: x + 1, x=index) for index in range(100)]
    result = processes.run(graph, failure_policy="continue")
    assert [result.get_output(other) for other in others] == list(range(1, 101))
    assert result.get_state(dying) is OperationState.FAILED
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, WorkerDied)
    assert (error.operation, error.signal, error.exit_code) == ("dying", number, code)
    assert error.pid not in (0, os.getpid())


def test_death_may_be_retried(processes: ExecutionEngine, tmp_path: Any) -> None:
    mark = tmp_path / "mark"

    def dies_once() -> str:
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return "alive"

    graph = GraphDefinition("retry")
    policy = RetryPolicy(max_attempts=2, retry_on=WorkerDied)
    added = graph.add(operation(retry_policy=policy)(dies_once))
    result = processes.run(graph)
    assert result.get_output(added) == "alive"
    timing = result.get_timing(added)
    assert timing is not None
    assert timing.attempts == 2


def test_operation_that_kills_every_worker_is_given_up_by_name(processes: ExecutionEngine) -> None:
    def deadly() -> None:
        os._exit(1)

    graph = GraphDefinition("deadly")
    policy = RetryPolicy(max_attempts=4, retry_on=WorkerDied)
    graph.add(operation(retry_policy=policy)(deadly))
    squares = graph.map(lambda x: x * x, over={"x": list(range(500))})
    result = processes.run(graph, failure_policy="continue")
    assert result.get_output(squares) == [x * x for x in range(500)]
    assert result.first_error is not None
    assert (result.first_error.operation, result.first_error.attempt) == ("deadly", 4)

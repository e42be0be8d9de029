"""Pickling runs code of the user: whatever that raises fails the one operation, and the engine goes on."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

import pytest
from patience import LIMIT_SECONDS
from process_engines import one, value_of

from execution_dataflow import ExecutionContext, ExecutionEngine, SharedMemoryFull, TransferError, WorkerStartError
from execution_dataflow.executors.processes.pool import ProcessPool

# What is no Exception: it passes all that catches only those.
BASES: list[type[BaseException]] = [SystemExit, KeyboardInterrupt, GeneratorExit]


class Unsendable:
    """Raises as soon as it is pickled."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        raise self.kind("pickled")


class Elsewhere:
    """Raises as soon as it is made again in a certain process, or in any but that one."""

    def __init__(self, kind: type[BaseException], pid: int, is_there: bool = True) -> None:
        self.how = kind, pid, is_there

    def __reduce__(self) -> Any:
        return make_elsewhere, self.how


def make_elsewhere(kind: type[BaseException], pid: int, is_there: bool) -> Elsewhere:
    if (os.getpid() == pid) is is_there:
        raise kind("made again")
    return Elsewhere(kind, pid, is_there)


class Failing(Exception):
    def __init__(self, kind: type[BaseException], pid: int) -> None:
        super().__init__("as it was told")
        self.how = kind, pid, True

    def __reduce__(self) -> Any:
        return make_elsewhere, self.how


def error_in_time(engine: ExecutionEngine, function: Any, **inputs: Any) -> BaseException:
    """Return its error; and see that the engine still runs something else."""
    result = engine.submit(one(function, **inputs)).result(timeout=LIMIT_SECONDS)
    assert result.first_error is not None
    assert engine.submit(one(lambda: 1)).result(timeout=LIMIT_SECONDS).is_successful()
    return result.first_error.exception


@pytest.mark.parametrize("kind", BASES)
def test_input_that_raises_anything_when_it_is_pickled_is_named(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    error = error_in_time(processes, lambda x: 1, x=Unsendable(kind))
    assert isinstance(error, TransferError)
    assert error.port == "x"
    assert f"{kind.__name__}: pickled" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_output_that_raises_anything_when_it_is_pickled_is_named(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    error = error_in_time(processes, lambda: Unsendable(kind))
    assert isinstance(error, TransferError)
    assert error.port == "result"
    assert f"{kind.__name__}: pickled" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_input_that_raises_anything_when_it_is_loaded_fails_the_operation(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    error = error_in_time(processes, lambda x: 1, x=Elsewhere(kind, os.getpid(), is_there=False))
    assert isinstance(error, TransferError)
    assert f"the inputs of lambda cannot be made again in its worker process: {kind.__name__}" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_output_that_raises_anything_when_it_is_loaded_fails_the_operation(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    here = os.getpid()
    error = error_in_time(processes, lambda: Elsewhere(kind, here))
    assert isinstance(error, TransferError)
    assert f"{kind.__name__}: made again" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_operation_that_raises_anything_when_it_is_pickled_is_named(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    held = Unsendable(kind)

    def holds() -> bool:
        return held is not None

    error = error_in_time(processes, holds)
    assert isinstance(error, TransferError)
    assert "holds cannot be sent to a worker process" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_exception_that_raises_anything_when_it_is_loaded_is_told(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    here = os.getpid()

    def fail() -> None:
        raise Failing(kind, here)

    assert "as it was told" in str(error_in_time(processes, fail))


@pytest.mark.parametrize("kind", BASES)
def test_shared_value_that_raises_anything_when_it_is_loaded_fails_who_has_set_it(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    here = os.getpid()

    def share(context: ExecutionContext) -> None:
        context.shared["value"] = Elsewhere(kind, here)

    error = error_in_time(processes, share)
    assert isinstance(error, TransferError)
    assert f"{kind.__name__}: made again" in str(error)


@pytest.mark.parametrize("kind", BASES)
def test_context_that_raises_anything_when_it_is_pickled_is_named(
    processes: ExecutionEngine, kind: type[BaseException]
) -> None:
    context = ExecutionContext(parameters={"value": Unsendable(kind)})
    result = processes.submit(one(lambda: 1), context).result(timeout=LIMIT_SECONDS)
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, TransferError)
    assert "the context of run" in str(result.first_error.exception)
    assert value_of(processes, lambda: 1) == 1


class Fussy(Exception):
    """Pickles, and cannot be made again."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def test_log_record_with_a_field_that_cannot_be_loaded_brings_its_text(
    processes: ExecutionEngine, caplog: pytest.LogCaptureFixture
) -> None:
    here = os.getpid()

    def log(context: ExecutionContext) -> int:
        fields = {"error": Fussy(503, "later"), "leaving": Elsewhere(SystemExit, here), "rows": [3]}
        context.logger.warning("failed once", extra={**fields, "lock": threading.Lock()})
        return os.getpid()

    with caplog.at_level(logging.WARNING, "execution_dataflow.run"):
        before = value_of(processes, log)
    record: Any = next(record for record in caplog.records if record.message == "failed once")
    assert record.error == "503: later"
    assert "Elsewhere object" in record.leaving
    assert record.rows == [3]
    assert "lock" in record.lock
    assert before in {value_of(processes, lambda: os.getpid()) for _ in range(4)}


def test_shared_memory_that_is_full_in_a_worker_process_arrives_as_such(processes: ExecutionEngine) -> None:
    def fill(context: ExecutionContext) -> None:
        context.empty(1 << 50)

    error = error_in_time(processes, fill)
    assert type(error) is SharedMemoryFull
    assert error.requested == 8 << 50


class Demanding(Exception):
    def __init__(self, code: int, *, text: str) -> None:
        super().__init__("as it was told")
        self.code = code


def test_group_keeps_its_type_whatever_its_members_take(processes: ExecutionEngine) -> None:
    def fail() -> None:
        raise ExceptionGroup("many", [ValueError("one"), ExceptionGroup("inner", [Demanding(5, text="x")])])

    error = error_in_time(processes, fail)
    assert isinstance(error, ExceptionGroup)
    assert error.message == "many"
    first, inner = error.exceptions
    assert type(first) is ValueError
    assert isinstance(inner, ExceptionGroup)
    (last,) = inner.exceptions
    assert isinstance(last, Demanding)
    assert (last.code, str(last)) == (5, "as it was told")


def test_thread_that_goes_wrong_over_and_over_fails_what_waits_and_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def go_wrong(pool: ProcessPool) -> None:
        raise SystemExit("nobody thought of that")

    with ExecutionEngine(max_workers=1, executor="process") as engine:
        with monkeypatch.context() as patch:
            patch.setattr(ProcessPool, "_dispatch", go_wrong)
            result = engine.submit(one(lambda: 1)).result(timeout=LIMIT_SECONDS)
        assert result.first_error is not None
        assert isinstance(result.first_error.exception, WorkerStartError)
        assert "internal error of the engine" in str(result.first_error.exception)
        assert "nobody thought of that" in caplog.text
        assert engine.submit(one(lambda: 1)).result(timeout=LIMIT_SECONDS).is_successful()

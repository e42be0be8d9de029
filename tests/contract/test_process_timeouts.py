"""A process operation that takes longer than its `timeout_seconds` is killed, and nothing else with it (R10, R11)."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from living import is_running, workers_of
from patience import LIMIT_SECONDS, close_in_time, eventually
from stuck import native_sleep, native_sleep_with_lock, spin
from timed_operations import AddAttempt, timeout_of

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    OperationState,
    OperationTimeout,
    RetryPolicy,
    operation,
)

# What a machine with two busy cores may add to a limit: the aim is 0.1 s.
LATE = 2.0
TIME_LIMIT = 0.3


@pytest.fixture(scope="module")
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor="process", failure_policy="continue")
    yield engine
    close_in_time(engine.close)


def sleeps(mark: str) -> None:
    Path(mark).write_text(f"{os.getpid()} {time.monotonic()}")
    time.sleep(60)


def spins(mark: str) -> None:
    Path(mark).write_text(f"{os.getpid()} {time.monotonic()}")
    spin(60)


def is_stuck_in_native_code(mark: str) -> None:
    Path(mark).write_text(f"{os.getpid()} {time.monotonic()}")
    native_sleep(60)


def holds_the_lock_of_the_interpreter(mark: str) -> None:
    Path(mark).write_text(f"{os.getpid()} {time.monotonic()}")
    native_sleep_with_lock(60)


def ignores_signals_and_exceptions(mark: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path(mark).write_text(f"{os.getpid()} {time.monotonic()}")
    while True:
        with suppress(BaseException):
            spin(60)


@pytest.mark.parametrize(
    "hangs",
    [sleeps, spins, is_stuck_in_native_code, holds_the_lock_of_the_interpreter, ignores_signals_and_exceptions],
    ids=lambda function: function.__name__,
)
def test_operation_is_killed_at_its_deadline_whatever_it_does(
    engine: ExecutionEngine,
    tmp_path: Path,
    hangs: Callable[[str], None],
    record_property: Callable[[str, object], None],
) -> None:
    mark = tmp_path / "mark"
    graph = GraphDefinition()
    node = graph.add(operation(hangs, timeout_seconds=TIME_LIMIT), mark=str(mark))
    result = engine.run(graph)
    ended = time.monotonic()
    error = timeout_of(result, node)
    pid, entered = mark.read_text().split()
    after = ended - float(entered)
    record_property("after_deadline_ms", round((after - TIME_LIMIT) * 1000, 1))
    print(f"{hangs.__name__}: {(after - TIME_LIMIT) * 1000:.1f} ms after its deadline")
    # What is measured begins when the operation has written its mark, a little after it was entered.
    assert TIME_LIMIT - 0.1 < after < TIME_LIMIT + LATE
    assert (error.operation, error.timeout_seconds, error.attempt) == (hangs.__name__, TIME_LIMIT, 1)
    assert str(error) == f"{hangs.__name__!r} did not end within 300 ms"
    assert (error.is_set_aside, error.where, error.__cause__) == (False, None, None)
    assert isinstance(error, TimeoutError)
    assert eventually(lambda: not is_running(int(pid)))


def test_process_that_was_killed_is_replaced_at_once(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition()
    graph.map(lambda x: time.sleep(0.05), over={"x": list(range(4))})
    engine.run(graph).raise_if_failed()
    before = set(workers_of(engine))
    mark = tmp_path / "mark"
    hanging = GraphDefinition()
    hanging.add(operation(sleeps, timeout_seconds=0.1), mark=str(mark))
    engine.run(hanging)
    killed = int(mark.read_text().split()[0])
    assert killed in before
    # Without any more work for it.
    assert eventually(lambda: killed not in workers_of(engine) and len(workers_of(engine)) == len(before))


class Slow:
    """Takes its time where it is loaded, or where it is pickled."""

    def __init__(self, loads: float = 0.0, dumps: float = 0.0) -> None:
        self.loads = loads
        self.dumps = dumps

    def __reduce__(self) -> tuple[Callable[[float], Slow], tuple[float]]:
        time.sleep(self.dumps)
        return load_slowly, (self.loads,)


def load_slowly(seconds: float) -> Slow:
    time.sleep(seconds)
    return Slow()


def hangs_after_slow_input(slow: Slow, mark: str) -> None:
    sleeps(mark)


def returns_slow_output(slow: Slow) -> Slow:
    return Slow(dumps=0.8)


def test_transfer_of_inputs_and_outputs_is_no_part_of_the_time(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    node = graph.add(operation(returns_slow_output, timeout_seconds=0.4), slow=Slow(loads=0.8))
    result = engine.run(graph)
    result.raise_if_failed()
    assert isinstance(result.get_output(node), Slow)


def test_time_begins_when_the_operation_is_entered(engine: ExecutionEngine, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    graph = GraphDefinition()
    node = graph.add(
        operation(hangs_after_slow_input, timeout_seconds=TIME_LIMIT), slow=Slow(loads=0.8), mark=str(mark)
    )
    result = engine.run(graph)
    timeout_of(result, node)
    after = time.monotonic() - float(mark.read_text().split()[1])
    assert TIME_LIMIT - 0.1 < after < TIME_LIMIT + LATE


def test_queue_in_a_process_is_no_part_of_the_time(engine: ExecutionEngine) -> None:
    def work(x: int) -> int:
        # By then it is taken for a short operation, of which several are sent at once.
        if x >= 190:
            time.sleep(0.15)
        return x

    graph = GraphDefinition()
    node = graph.map(operation(work, timeout_seconds=0.5), over={"x": list(range(200))}, max_concurrency=200)
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(node) == list(range(200))


def test_operation_that_ends_in_time_is_as_any_other(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    first = graph.add(AddAttempt(timeout_seconds=20), a=1, b=2)
    second = graph.add(AddAttempt(timeout_seconds=1e9), a=first, b=first)
    before = set(workers_of(engine))
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(second) == 9
    assert before <= set(workers_of(engine))


def test_every_attempt_has_the_time_anew(engine: ExecutionEngine, tmp_path: Path) -> None:
    @operation(
        timeout_seconds=TIME_LIMIT,
        retry_policy=RetryPolicy(max_attempts=4, delay_seconds=0.01, retry_on=OperationTimeout),
    )
    def late_twice(context: ExecutionContext) -> int:
        if context.attempt < 3:
            spin(60)
        return context.attempt

    graph = GraphDefinition()
    node = graph.add(late_twice)
    began = time.monotonic()
    result = engine.run(graph)
    result.raise_if_failed()
    assert result.get_output(node) == 3
    assert time.monotonic() - began >= 2 * TIME_LIMIT


def test_last_attempt_is_the_one_that_is_told(engine: ExecutionEngine) -> None:
    policy = RetryPolicy(max_attempts=2, retry_on=TimeoutError)
    graph = GraphDefinition()
    node = graph.add(operation(spin, timeout_seconds=0.1, retry_policy=policy))
    assert timeout_of(engine.run(graph), node).attempt == 2


def test_policy_may_give_up_on_it(engine: ExecutionEngine) -> None:
    policy = RetryPolicy(max_attempts=5, give_up_on=OperationTimeout)
    graph = GraphDefinition()
    node = graph.add(operation(spin, timeout_seconds=0.1, retry_policy=policy))
    assert timeout_of(engine.run(graph), node).attempt == 1


def test_items_of_a_map_have_the_time_each(engine: ExecutionEngine) -> None:
    def work(x: int) -> int:
        if x % 4 == 3:
            spin(60)
        return x * x

    graph = GraphDefinition()
    node = graph.map(operation(work, timeout_seconds=0.2), over={"x": list(range(12))}, on_error="keep")
    result = engine.run(graph)
    answers = result.get_output(node)
    assert [answer for x, answer in enumerate(answers) if x % 4 != 3] == [x * x for x in range(12) if x % 4 != 3]
    for x in (3, 7, 11):
        error = answers[x].error
        assert type(error) is OperationTimeout
        assert (error.operation, error.timeout_seconds) == (f"work[{x}]", 0.2)


def test_map_fails_with_an_item_that_is_late(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    node = graph.map(operation(spin, timeout_seconds=0.2), over={"seconds": [0.0, 60.0]})
    result = engine.run(graph)
    assert result.get_state(node) is OperationState.FAILED
    message = result.get_error_message()
    assert message is not None
    assert "'spin[1]' did not end within 200 ms" in message


def test_what_waited_behind_it_is_run_elsewhere_and_once(engine: ExecutionEngine, tmp_path: Path) -> None:
    def work(x: int, folder: str) -> int:
        with open(os.path.join(folder, str(x)), "a") as file:
            file.write("run\n")
        # By now the engine takes the operation for a short one, and has sent others after it.
        if x in (150, 151):
            spin(60)
        return x

    graph = GraphDefinition()
    node = graph.map(
        operation(work, timeout_seconds=0.4), over={"x": list(range(400))}, folder=str(tmp_path), on_error="keep"
    )
    result = engine.run(graph)
    answers = result.get_output(node)
    late = [x for x, answer in enumerate(answers) if answer != x]
    assert late == [150, 151]
    assert all(type(answers[x].error) is OperationTimeout for x in late)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {str(x): "run\n" for x in range(400)}


def test_other_operations_go_on_beside_it(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    late = graph.add(operation(spin, timeout_seconds=0.5))
    squares = graph.map(lambda x: x * x, over={"x": list(range(200))})
    dependent = graph.add(lambda squares: sum(squares), squares=squares)
    result = engine.run(graph)
    timeout_of(result, late)
    assert result.get_output(dependent) == sum(x * x for x in range(200))


def ends_late(mark: str, error: str | None) -> str:
    Path(mark).touch()
    time.sleep(0.5)
    if error is not None:
        raise OSError(error)
    return "too late"


@pytest.mark.parametrize("raised", [None, "disk full"], ids=["a result", "an error"])
def test_what_comes_too_late_is_not_used(engine: ExecutionEngine, tmp_path: Path, raised: str | None) -> None:
    """However long this process took to notice: here it cannot, since native code holds the interpreter's lock."""
    mark = tmp_path / "mark"

    def holds_up() -> None:
        assert eventually(mark.exists)
        native_sleep_with_lock(1.5)

    graph = GraphDefinition()
    late = graph.add(operation(ends_late, timeout_seconds=0.25), mark=str(mark), error=raised)
    graph.add(operation(holds_up, executor="thread"))
    warm = GraphDefinition()
    warm.add(lambda: None)
    engine.run(warm).raise_if_failed()
    cause = timeout_of(engine.run(graph), late).__cause__
    if sys._is_gil_enabled() if hasattr(sys, "_is_gil_enabled") else True:
        assert repr(cause) == ("None" if raised is None else "OSError('disk full')")


def test_operation_that_always_runs_has_its_time_too(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    node = graph.add(operation(spin, timeout_seconds=0.2, always_run=True))
    timeout_of(engine.run(graph), node)


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    engine = ExecutionEngine(max_workers=2, executor="process", failure_policy="continue")
    marks = [tmp_path / str(index) for index in range(6)]
    graph = GraphDefinition()
    for mark in marks:
        graph.add(operation(sleeps, timeout_seconds=0.1), mark=str(mark))
    result = engine.run(graph)
    assert len(result.errors) == 6
    pids = [int(mark.read_text().split()[0]) for mark in marks]
    assert len(set(pids)) == 6
    last = workers_of(engine)
    close_in_time(engine.close)
    assert eventually(lambda: not any(map(is_running, [*pids, *last])), LIMIT_SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="the CPU time of one thread is read from /proc")
def test_long_limit_costs_nothing_while_it_waits(tmp_path: Path) -> None:
    """The thread of the pool sleeps until the deadline; it does not look every now and then."""
    engine = ExecutionEngine(max_workers=1, executor="process")
    try:
        graph = GraphDefinition()
        graph.add(operation(sleeps, timeout_seconds=1.5), mark=str(tmp_path / "mark"))
        handle = engine.submit(graph)
        assert eventually((tmp_path / "mark").exists)
        pool = engine._threads.process_pool
        assert pool is not None
        time.sleep(0.2)

        def switches() -> int:
            text = Path(f"/proc/self/task/{pool._thread.native_id}/status").read_text()
            return int(text.split("voluntary_ctxt_switches:")[1].split()[0])

        before = switches()
        time.sleep(0.8)
        assert switches() - before <= 4
        handle.result(timeout=LIMIT_SECONDS)
    finally:
        close_in_time(engine.close)

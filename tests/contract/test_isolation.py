"""R12: each attempt has its own copy of the caller's context variables; worker threads are ordinary threads."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest
from patience import await_event
from programs import run_program

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


@operation
def change(number: int) -> str:
    seen = request_id.get()
    request_id.set(f"changed by {number}")
    return seen


@operation
async def change_async(number: int) -> str:
    seen = request_id.get()
    request_id.set(f"changed by {number}")
    await asyncio.sleep(0)
    assert request_id.get() == f"changed by {number}"
    return seen


@pytest.mark.parametrize("kind", [change, change_async])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
def test_an_attempt_sees_the_variables_of_the_caller_and_changes_only_its_own(
    kind: object, workers: int, way: str
) -> None:
    graph = GraphDefinition()
    nodes = [graph.add(kind, number=number) for number in range(40)]  # type: ignore[arg-type, call-overload]

    def go() -> None:
        request_id.set("of the caller")
        with ExecutionEngine(max_workers=workers) as engine:
            if way == "run":
                result = engine.run(graph)
            elif way == "submit":
                result = engine.submit(graph).result(20)
            else:
                result = asyncio.run(engine.run_async(graph))
        assert {result.get_output(node) for node in nodes} == {"of the caller"}
        assert request_id.get() == "of the caller"

    contextvars.copy_context().run(go)


def test_two_callers_do_not_see_each_other() -> None:
    graph = GraphDefinition()
    node = graph.add(change, number=1)
    seen: dict[str, set[str]] = {"a": set(), "b": set()}

    def caller(name: str) -> None:
        request_id.set(name)
        for _ in range(50):
            seen[name].add(engine.submit(graph).result(20).get_output(node))

    with ExecutionEngine(max_workers=2) as engine:
        threads = [threading.Thread(target=caller, args=(name,), daemon=True) for name in seen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert seen == {"a": {"a"}, "b": {"b"}}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_retry_begins_with_the_variables_of_the_caller_again(is_async: bool) -> None:
    seen: list[str] = []

    def act(context: ExecutionContext) -> None:
        seen.append(request_id.get())
        request_id.set(f"attempt {context.attempt}")
        if context.attempt < 3:
            raise OSError("busy")

    async def act_async(context: ExecutionContext) -> None:
        act(context)

    graph = GraphDefinition()
    graph.add(operation(retry_policy=RetryPolicy(max_attempts=3))(act_async if is_async else act))
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).is_successful()
    assert seen == ["none"] * 3


def test_a_variable_can_be_reset_with_its_token_inside_of_an_attempt() -> None:
    @operation
    def scoped() -> tuple[str, str]:
        token = request_id.set("inside")
        inside = request_id.get()
        request_id.reset(token)
        return inside, request_id.get()

    graph = GraphDefinition()
    node = graph.add(scoped)
    with ExecutionEngine(max_workers=1) as engine:
        assert engine.run(graph).get_output(node) == ("inside", "none")


def test_workers_are_named_daemon_threads_of_the_threading_module() -> None:
    meeting = threading.Barrier(3, timeout=20)

    @operation
    def who() -> threading.Thread:
        meeting.wait()
        return threading.current_thread()

    graph = GraphDefinition()
    nodes = [graph.add(who) for _ in range(3)]
    with ExecutionEngine(max_workers=3) as engine:
        result = engine.run(graph)
        threads = {result.get_output(node) for node in nodes}
        assert len(threads) == 3
        assert threading.current_thread() in threads, "the caller is worker 0"
        pool = threads - {threading.current_thread()}
        assert pool <= set(threading.enumerate())
    assert all(thread.daemon and thread.name.startswith("execution-dataflow-") for thread in pool)
    assert len({thread.name for thread in pool}) == 2
    assert {result.get_timing(node).worker for node in nodes} == {0, 1, 2}


TRACED = """
    import threading
    from execution_dataflow import ExecutionEngine, GraphDefinition

    seen = set()
    both = threading.Barrier(2, timeout=20)

    def tracer(frame, event, argument):
        if frame.f_code.co_name == "traced_operation":
            seen.add((threading.current_thread() is threading.main_thread(), event))
            return tracer

    def traced_operation():
        both.wait()
        return 1

    # In a process of its own: the pool has no thread that was started before.
    threading.settrace(tracer)
    graph = GraphDefinition()
    graph.add(traced_operation)
    graph.add(traced_operation)
    with ExecutionEngine(max_workers=2) as engine:
        engine.run(graph).raise_if_failed()
    print(sorted(seen))
"""


def test_tracers_of_the_threading_module_see_operations_on_workers(tmp_path: Path) -> None:
    code, lines, err = run_program(tmp_path, TRACED)
    assert (code, lines, err) == (0, ["[(False, 'call'), (False, 'line'), (False, 'return')]"], "")


def test_debuggers_see_the_frames_of_operations_on_workers() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def waits_in_here() -> None:
        inside.set()
        await_event(go_on)

    graph = GraphDefinition()
    graph.add(waits_in_here)
    with ExecutionEngine(max_workers=1) as engine:
        handle = engine.submit(graph)
        await_event(inside)
        names = set()
        for frame in sys._current_frames().values():
            at: FrameType | None = frame
            while at is not None:
                names.add(at.f_code.co_name)
                at = at.f_back
        go_on.set()
        assert handle.result(20).is_successful()
    assert "waits_in_here" in names


def test_attributes_that_an_attempt_writes_are_the_users_own_affair() -> None:
    class Counts(Operation):
        given = InputPort(int)
        count = OutputPort(int)

        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def execute(self, context: ExecutionContext) -> None:
            self.calls += self.given
            self.count = self.calls

    counts = Counts()
    graph = GraphDefinition()
    graph.add(counts, given=2)
    with ExecutionEngine(max_workers=1) as engine:
        assert [engine.run(graph).get_output(counts) for _ in range(3)] == [2, 4, 6]


def test_log_levels_of_a_run_change_no_global_logger(caplog: pytest.LogCaptureFixture) -> None:
    @operation
    def talks(context: ExecutionContext) -> None:
        context.logger.debug("detail")
        context.logger.warning("careful")

    graph = GraphDefinition()
    graph.add(talks)
    root, ours = logging.getLogger().level, logging.getLogger("execution_dataflow").level
    with ExecutionEngine(max_workers=1) as engine, caplog.at_level(logging.DEBUG):
        engine.run(graph, ExecutionContext("loud", log_level="DEBUG"))
        engine.run(graph, ExecutionContext("quiet", log_level="ERROR"))
    said = [(record.run_id, record.message) for record in caplog.records if hasattr(record, "run_id")]
    assert said == [("loud", "detail"), ("loud", "careful")]
    assert (logging.getLogger().level, logging.getLogger("execution_dataflow").level) == (root, ours)

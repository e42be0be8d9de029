"""The context in worker processes: copies, and what reaches the run (rule C1)."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from patience import LIMIT_SECONDS, close_in_time, eventually
from process_engines import error_of, one, value_of

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    RunHandle,
    TransferError,
)


def test_random_streams_are_those_of_threads(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def draw(context: ExecutionContext) -> tuple[float, float]:
        return context.rng().random(), context.random().random()

    assert value_of(processes, draw) == value_of(threads, draw)


def test_context_is_a_copy_with_what_was_added_to_it(processes: ExecutionEngine) -> None:
    class Mine(ExecutionContext):
        colour = "red"

    def look(context: ExecutionContext) -> tuple[Any, ...]:
        return (
            type(context).__name__,
            context.colour,
            context.extra,
            dict(context.parameters),
            context.run_id,
            context.attempt,
            context.operation_name,
            context.secrets["token"].reveal(),
        )

    context = Mine("nightly", parameters={"month": 7}, secrets={"token": "hunter2"})
    context.extra = [1]
    result = processes.run(one(look), context)
    assert result.get_output("look") == ("Mine", "red", [1], {"month": 7}, "nightly", 1, "look", "hunter2")


@pytest.mark.parametrize("more", ["nothing", "parameters", "attribute", "class"])
def test_settings_arrive_whatever_else_a_context_holds(processes: ExecutionEngine, more: str) -> None:
    class Mine(ExecutionContext):
        pass

    def look(context: ExecutionContext) -> tuple[Any, ...]:
        context.shared["seen"] = True
        return (
            type(context).__name__,
            context.run_id,
            context.log_level,
            context.seed,
            dict(context.parameters),
            list(context.secrets),
            getattr(context, "extra", None),
        )

    made = Mine if more == "class" else ExecutionContext
    parameters = {"month": 7} if more == "parameters" else {}
    context = made("nightly", "DEBUG", seed=11, parameters=parameters)
    extra = None
    if more == "attribute":
        context.extra = extra = [1]  # type: ignore[attr-defined]
    result = processes.run(one(look), context)
    assert result.get_output("look") == (made.__name__, "nightly", "DEBUG", 11, parameters, [], extra)
    assert context.shared["seen"] is True


def test_shared_state_is_the_one_of_the_run(processes: ExecutionEngine) -> None:
    def count(x: int, context: ExecutionContext) -> int:
        context.shared.update("seen", lambda seen: [*seen, x], default=[])
        return context.shared.update("total", lambda total: total + x, default=0)

    context = ExecutionContext(shared={"kept": 1})
    graph = GraphDefinition("shared")
    graph.map(count, over={"x": list(range(50))})
    processes.run(graph, context).raise_if_failed()
    assert context.shared["total"] == sum(range(50))
    assert sorted(context.shared["seen"]) == list(range(50))


def test_shared_state_behaves_as_in_process(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def use(context: ExecutionContext) -> list[Any]:
        shared = context.shared
        said: list[Any] = [shared.get("a"), shared.get("b", 5), shared["a"], "a" in shared, len(shared), sorted(shared)]
        shared["c"] = 3
        said += [shared.setdefault("c", 4), shared.pop("c"), shared.pop("c", None), shared.snapshot()]
        for fault in (lambda: shared["gone"], lambda: shared.update("gone", str), lambda: shared.pop("gone")):
            try:
                fault()
            except KeyError as error:
                said.append(str(error))
        return said

    there = processes.run(one(use), ExecutionContext(shared={"a": 1}))
    here = threads.run(one(use), ExecutionContext(shared={"a": 1}))
    assert there.get_output("use") == here.get_output("use")


def test_log_records_reach_the_handlers_of_the_parent(
    processes: ExecutionEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def speak(context: ExecutionContext) -> None:
        context.logger.debug("not heard")
        context.logger.info("the token is %s", "hunter2", extra={"rows": 3})

    context = ExecutionContext("r1", "INFO", secrets={"token": "hunter2"})
    with caplog.at_level(logging.DEBUG):
        processes.run(one(speak), context).raise_if_failed()
    (record,) = (record for record in caplog.records if record.name == "execution_dataflow.run")
    assert record.getMessage() == "the token is ***"
    assert (record.run_id, record.operation, record.rows) == ("r1", "speak", 3)


def test_progress_reaches_the_run(processes: ExecutionEngine) -> None:
    from execution_dataflow import OperationProgress

    def work(context: ExecutionContext) -> None:
        context.progress(0.5, "half way")

    said: list[tuple[float, str]] = []
    with processes.subscribe(lambda event: said.append((event.fraction, event.message)), OperationProgress):
        processes.run(one(work)).raise_if_failed()
    assert said == [(0.5, "half way")]


def test_clients_are_made_where_they_are_used_and_closed_at_the_end(processes: ExecutionEngine, tmp_path: Any) -> None:
    class Connection:
        def __init__(self) -> None:
            self.pid = os.getpid()
            (tmp_path / f"open-{self.pid}").touch()

        def close(self) -> None:
            (tmp_path / f"open-{self.pid}").rename(tmp_path / f"closed-{self.pid}")

    def use(context: ExecutionContext) -> int:
        assert context.clients.db is context.clients["db"]
        return context.clients.db.pid

    result = processes.run(one(use), ExecutionContext(clients={"db": Connection}))
    pid = result.get_output("use")
    assert pid != os.getpid()
    # The next task of that worker comes behind the end of the run.
    while value_of(processes, lambda: os.getpid()) != pid:
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f"closed-{pid}"]


def test_client_that_cannot_be_sent_is_named_where_it_is_asked_for(processes: ExecutionEngine) -> None:
    def use(context: ExecutionContext) -> None:
        context.clients.db

    result = processes.run(one(use), ExecutionContext(clients={"db": threading.Lock()}))
    assert result.first_error is not None
    assert "client 'db'" in str(result.first_error.exception)


def test_context_variables_begin_empty_and_stay_with_the_attempt(processes: ExecutionEngine) -> None:
    def look() -> tuple[bool, bool]:
        import decimal

        before = decimal.getcontext().prec
        decimal.getcontext().prec = 5
        return before == 28, decimal.getcontext().prec == 5

    for _ in range(6):
        assert value_of(processes, look) == (True, True)


def test_runs_that_take_turns_in_a_process_each_have_their_working_directory_and_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(step: int, mark: str) -> tuple[str, str]:
        Path(mark, str(step)).touch()
        # The other run has its turn in the meantime.
        for _ in range(2000):
            if step or Path(mark, "go").exists():
                break
            time.sleep(0.01)
        return Path.cwd().name, sys.path[-1]

    def chain() -> tuple[GraphDefinition, list[Any]]:
        graph = GraphDefinition()
        nodes: list[Any] = []
        for step in range(3):
            node = graph.add(place, step=step, mark=str(Path.cwd()))
            if nodes:
                graph.add_dependency(nodes[-1], node)
            nodes.append(node)
        return graph, nodes

    def submitted(name: str) -> tuple[RunHandle, list[Any]]:
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setattr(sys, "path", [*sys.path, name])
        graph, nodes = chain()
        handle = engine.submit(graph, retain="all")
        assert eventually(lambda: (tmp_path / name / "0").exists() or name == "second")
        return handle, nodes

    engine = ExecutionEngine(max_workers=1, executor="process")
    try:
        runs = [submitted(name) for name in ("first", "second")]
        for name in ("first", "second"):
            (tmp_path / name / "go").touch()
        for name, (handle, nodes) in zip(("first", "second"), runs, strict=True):
            result = handle.result(timeout=LIMIT_SECONDS)
            assert [result.get_output(node) for node in nodes] == [(name, name)] * 3
    finally:
        close_in_time(engine.close)


@pytest.mark.skipif(sys.platform == "win32", reason="there a directory in use cannot be deleted")
def test_working_directory_that_was_deleted_is_named(
    processes: ExecutionEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    error, _ = error_of(processes, lambda: 1)
    assert isinstance(error, TransferError)
    assert "the working directory of this process is gone" in str(error)

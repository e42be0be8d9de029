"""Commits that wait for a store: event loops and the driver of processes go on, and many share one write."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Operation,
    OperationState,
    OutputPort,
    StateConflictError,
    operation,
)
from execution_dataflow.checkpoints.commit_writer import CommitWriter
from execution_dataflow.persistent_state import edit_state
from execution_dataflow.stores.directory import DirectoryArtifacts
from execution_dataflow.stores.sql.journal import SqlJournal

pytest.importorskip("sqlalchemy")


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture(autouse=True)
def slow_store(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A store that takes 0.1 s to write; it tells of how many commits and changes each write was."""
    written: list[int] = []
    append = SqlJournal.append

    def slowly(self: SqlJournal, lease: Any, batch: int, commits: Any, changes: Any = ()) -> None:
        written.append(max(len(commits), len(changes)))
        time.sleep(0.1)
        append(self, lease, batch, commits, changes)

    monkeypatch.setattr(SqlJournal, "append", slowly)
    return written


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The threads that have waited for a commit to be written, or written an artifact."""
    threads: set[int] = set()

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            threads.add(threading.get_ident())
            return function(*arguments)

        return noted

    monkeypatch.setattr(CommitWriter, "write", noting(CommitWriter.write))
    monkeypatch.setattr(DirectoryArtifacts, "write", noting(DirectoryArtifacts.write))
    return threads


def naps(limit: float | None) -> Any:
    @operation(timeout_seconds=limit)
    async def nap(x: int) -> int:
        await asyncio.sleep(0.01)
        return x

    return nap


@operation
async def ident() -> int:
    return threading.get_ident()


@pytest.mark.parametrize("limit", [None, 30.0])
@pytest.mark.parametrize("is_own_loop", [True, False])
def test_loop_goes_on_while_commits_are_written(
    address: str, slow_store: list[int], waiting: set[int], limit: float | None, is_own_loop: bool
) -> None:
    nap = naps(limit)
    graph = GraphDefinition("naps")
    nodes = [graph.add(nap, x=number) for number in range(40)]
    of_loop = graph.add(ident)
    with ExecutionEngine(checkpoint=address, durability="each") as engine:
        context = ExecutionContext("naps")
        result = asyncio.run(engine.run_async(graph, context)) if is_own_loop else engine.run(graph, context)
        assert [result.get_output(node) for node in nodes] == list(range(40))
        assert waiting
        assert result.get_output(of_loop) not in waiting
        # One by one they would be 41 writes.
        assert len(slow_store) < 20
        assert len(engine.run(graph, ExecutionContext("naps")).restored) == 41


@pytest.mark.parametrize("limit", [None, 30.0])
def test_state_that_a_coroutine_has_changed_is_there_when_it_has_ended(address: str, limit: float | None) -> None:
    @operation(timeout_seconds=limit)
    async def counts(context: ExecutionContext) -> int:
        count: int = context.state.update("count", lambda count: count + 1, 0)
        return count

    graph = GraphDefinition("counting")
    node = graph.add(counts)
    with ExecutionEngine(checkpoint=address) as engine:
        assert [engine.run(graph, ExecutionContext(name)).get_output(node) for name in "abca"] == [1, 2, 3, 1]
        with edit_state(address, "operation:counting/counts") as state:
            assert state.get("count") == 3


@pytest.mark.parametrize("limit", [None, 30.0])
def test_commit_that_is_refused_fails_the_attempt(address: str, limit: float | None) -> None:
    @operation(timeout_seconds=limit)
    async def counts(context: ExecutionContext) -> int:
        context.state.update("count", lambda count: count + 1, 0)
        with edit_state(address, "operation:counting/counts") as state:
            state.put("count", 10)
        return 1

    graph = GraphDefinition("counting")
    node = graph.add(counts)
    with ExecutionEngine(checkpoint=address) as engine:
        record = engine.run(graph, ExecutionContext("counting")).get_error(node)
    assert isinstance(record and record.exception, StateConflictError)


@pytest.mark.parametrize("limit", [None, 30.0])
def test_run_that_is_cancelled_while_a_commit_is_written_ends(address: str, limit: float | None) -> None:
    nap = naps(limit)
    graph = GraphDefinition("naps")
    for number in range(40):
        graph.add(nap, x=number)
    with ExecutionEngine(checkpoint=address, durability="each") as engine:
        handle = engine.submit(graph, ExecutionContext("naps"))
        time.sleep(0.06)
        handle.cancel()
        result = handle.result(timeout=20)
        kept = [name for name, state in result.states.items() if state is OperationState.SUCCEEDED]
        # What has not succeeded was not committed either, and the other way round.
        again = engine.run(graph, ExecutionContext("naps"))
        assert again.is_successful()
        assert sorted(again.restored) == sorted(kept)


class Samples(Operation):
    """Sets what it has made, and returns nothing."""

    number = OutputPort(int)
    samples = OutputPort(np.ndarray)

    async def execute(self, context: ExecutionContext) -> None:
        self.set_output("number", 3)
        self.set_output("samples", np.ones(100_000))


@operation
async def samples() -> np.ndarray:
    return np.ones(100_000)


@pytest.mark.parametrize("making", [samples, Samples()])
def test_loop_goes_on_while_an_artifact_is_written(address: str, waiting: set[int], making: Any) -> None:
    graph = GraphDefinition("samples")
    graph.add(making)
    of_loop = graph.add(ident)
    with ExecutionEngine(checkpoint=address) as engine:
        result = engine.run(graph, ExecutionContext("samples"))
        assert waiting
        assert result.get_output(of_loop) not in waiting
        assert len(engine.run(graph, ExecutionContext("samples")).restored) == 2


def test_worker_processes_go_on_while_commits_are_written(address: str, slow_store: list[int]) -> None:
    @operation(executor="process")
    def doubled(x: int) -> int:
        return 2 * x

    graph = GraphDefinition("doubles")
    nodes = [graph.add(doubled, x=number) for number in range(60)]
    with ExecutionEngine(checkpoint=address, durability="each", max_workers=2) as engine:
        result = engine.run(graph, ExecutionContext("doubles"))
        assert [result.get_output(node) for node in nodes] == list(range(0, 120, 2))
        # One by one they would be 60 writes.
        assert len(slow_store) < 40
        assert len(engine.run(graph, ExecutionContext("doubles")).restored) == 60

"""Persistent state in runs that have a checkpoint: committed with the operation that changed it, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    RetryPolicy,
    StateNotKeptError,
    operation,
)
from execution_dataflow.persistent_state import edit_state

pytest.importorskip("sqlalchemy")


class Attempts(list[int]):
    """What each attempt saw: no part of what it is computed from."""

    def __fingerprint__(self) -> str:
        return "attempts"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.mark.parametrize("durability", ["batched", "each"])
def test_state_changes_exactly_once_however_often_an_operation_is_attempted(address: str, durability: Any) -> None:
    attempts = Attempts()

    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def counts(context: ExecutionContext) -> int:
        count: int = context.state.update("count", lambda count: count + 1, 0)
        attempts.append(count)
        if context.attempt < 3:
            raise RuntimeError("try again")
        return count

    graph = GraphDefinition("counting")
    counted = graph.add(counts)
    with ExecutionEngine(checkpoint=address, durability=durability) as engine:
        assert [engine.run(graph, ExecutionContext(name)).get_output(counted) for name in "abc"] == [1, 2, 3]
        assert attempts == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert engine.run(graph, ExecutionContext("a")).get_output(counted) == 1  # restored, and counted once


@pytest.mark.parametrize("why", ["output", "fingerprint"])
def test_an_operation_that_cannot_be_kept_changes_no_state(address: str, why: str) -> None:
    generator = (x for x in range(3))

    def counted(context: ExecutionContext) -> Any:
        context.state.update("times", lambda times: times + 1, default=0)
        return (x for x in range(3))

    def counted_with_a_closure(context: ExecutionContext) -> Any:
        context.state.update("times", lambda times: times + 1, default=0)
        return next(generator)

    graph = GraphDefinition("uncommitted")
    node = graph.add(operation(counted if why == "output" else counted_with_a_closure, name="counted"))
    with ExecutionEngine(checkpoint=address) as engine:
        record = engine.run(graph).get_error(node)
    error = record and record.exception
    assert isinstance(error, StateNotKeptError)
    assert "counted has changed persistent state and cannot be kept itself" in str(error)
    assert ("cannot be stored" if why == "output" else "what it is computed from cannot be told") in error.reason
    assert "generator" in error.reason
    with edit_state(address, "operation:uncommitted/counted") as state:
        assert list(state.keys()) == []

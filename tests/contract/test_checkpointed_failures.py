"""What stood in for a failure is taken over by the next run as what it is: not hidden, and reverted in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from noted import Notes
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    FallbackValue,
    GraphDefinition,
    Operation,
    OutputPort,
    operation,
)

pytest.importorskip("sqlalchemy")


note = Notes()
run = note.run


@operation
def increment(x: int) -> int:
    note(f"increment {x}")
    return x + 1


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(checkpoint=tmp_path / "runs.db", max_workers=2)
    yield engine
    close_in_time(engine.close)


def failing(**options: Any) -> GraphDefinition:
    @operation(name="price", **options)
    def price() -> int:
        note("price")
        raise OSError("no price in the file \udcff")

    graph = GraphDefinition("prices")
    graph.add(increment, x=graph.add(price))
    return graph


@pytest.mark.parametrize("stands_in", [FallbackValue(-1), operation(lambda: -1, name="guess")], ids=["value", "other"])
def test_what_stood_in_is_not_hidden_by_a_resume(engine: ExecutionEngine, stands_in: Any) -> None:
    (first,) = run(engine, failing(on_failure=stands_in), "increment -1").fallbacks
    for _ in range(2):
        result = run(engine, failing(on_failure=stands_in))
        assert "price" not in note.ran
        (told,) = result.fallbacks
        assert (told.operation, told.attempt, told.fallback) == ("price", 1, first.fallback)
        assert "before this run was resumed: OSError: no price in the file" in told.message
        assert "test_checkpointed_failures.py" in told.message
        assert "stood in for it" in result.summary()


def test_an_operation_that_has_succeeded_at_last_has_no_fallback(engine: ExecutionEngine) -> None:
    run(engine, failing(on_failure=-1))
    graph = GraphDefinition("prices")
    graph.add(operation(lambda: 3, name="price", on_failure=-1))
    assert run(engine, graph).fallbacks == []
    again = run(engine, graph)
    assert again.restored == ["price"]
    assert again.fallbacks == []


def test_what_stood_in_is_what_a_resumed_run_reverts(engine: ExecutionEngine) -> None:
    class Train(Operation):
        ticket = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.ticket = 7

        def revert(self, context: ExecutionContext) -> None:
            note(f"cancel train {self.get_output('ticket')}")

    class Fly(Operation):
        ticket = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            raise RuntimeError("no flight")

        def revert(self, context: ExecutionContext) -> None:
            note("cancel flight")

    graph = GraphDefinition("journey")
    graph.add(increment, x=graph.add(Fly(on_failure=Train())))
    run(engine, graph, "increment 7")
    run(engine, graph, "increment 7", on_failure="revert")
    assert note.ran == ["increment 7", "cancel train 7"]

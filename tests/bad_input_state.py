"""Mistakes with persistent state and idempotency keys."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bad_input import row, run_one

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition
from execution_dataflow.persistent_state import edit_state


@row("`context.state` without a store")
def _() -> object:
    def load(context: ExecutionContext) -> None:
        context.state.get("watermark")

    return run_one(load)


@row("`context.state` outside of an operation")
def _() -> None:
    _ = ExecutionContext().state


@row("a key of state that is no text")
def _() -> object:
    def load(context: ExecutionContext) -> None:
        context.state.put(7, "seen")  # type: ignore[arg-type]

    graph = GraphDefinition("etl")
    graph.add(load)
    with TemporaryDirectory() as folder, ExecutionEngine(state=Path(folder, "state.db")) as engine:
        return engine.run(graph)


@row("a value of state that no store can keep")
def _() -> None:
    with TemporaryDirectory() as folder, edit_state(Path(folder, "state.db"), "orders") as state:
        state.put("rows", (row for row in range(3)))


@row("state that is changed by an operation which a checkpoint cannot keep")
def _() -> object:
    def counted(context: ExecutionContext) -> object:
        context.state.put("seen", 1)
        return (row for row in range(3))

    graph = GraphDefinition("etl")
    graph.add(counted)
    with TemporaryDirectory() as folder, ExecutionEngine(checkpoint=Path(folder, "runs.db")) as engine:
        return engine.run(graph)


@row("state that somebody else has changed meanwhile")
def _() -> None:
    with TemporaryDirectory() as folder, edit_state(Path(folder, "state.db"), "orders") as state:
        state.update("seen", lambda seen: seen + 1, default=0)
        with edit_state(Path(folder, "state.db"), "orders") as other:
            other.put("seen", 5)


@row("state that is changed by a function and is not there")
def _() -> None:
    with TemporaryDirectory() as folder, edit_state(Path(folder, "state.db"), "orders") as state:
        state.update("seen", lambda seen: seen + 1)


@row("a part of an idempotency key that may differ next time")
def _() -> object:
    def load(context: ExecutionContext) -> None:
        context.idempotency_key_for("charge", object())  # type: ignore[arg-type]

    return run_one(load)

"""What is expanded comes to the same outputs, states and events on every executor, and on every mix of them."""

from __future__ import annotations

from typing import Any

import pytest
from expanding_operations import executed, graph_of_everything
from patience import close_in_time

from execution_dataflow import ExecutionContext, ExecutionEngine

WAYS: dict[str, tuple[str | None, str | None, int]] = {
    "inline": ("inline", None, 1),
    "threads": ("thread", None, 2),
    "processes inside": (None, "process", 2),
    "processes": ("process", None, 2),
    "processes and threads": ("process", "thread", 2),
}


def everything(default: str | None, inner: str | None, workers: int) -> tuple[Any, list[tuple[str, str]], Any]:
    engine = ExecutionEngine(max_workers=workers, executor=default, event_drain_seconds=60)
    events: list[tuple[str, str]] = []
    try:
        with engine.subscribe(lambda event: events.append((type(event).__name__, getattr(event, "operation", "")))):
            result = engine.run(graph_of_everything(inner), ExecutionContext(seed=5))
    finally:
        close_in_time(engine.close)
    result.raise_if_failed()
    return result.outputs(), sorted(events), executed(result)


@pytest.fixture(scope="module")
def inline() -> tuple[Any, list[tuple[str, str]], Any]:
    return everything(*WAYS["inline"])


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_expansions_agree_with_the_inline_executor(way: str, inline: tuple[Any, Any, Any]) -> None:
    outputs, events, states = everything(*WAYS[way])
    assert outputs == inline[0]
    assert states == inline[2]
    assert events == inline[1]


def test_everything_is_named_after_what_it_is_in(inline: tuple[Any, Any, Any]) -> None:
    outputs, events, states = inline
    assert outputs["fans"] == {"result": [0, 1, 5]}
    assert outputs["halves"] == {"x": [0.5, 0.75]}
    started = {name for kind, name in events if kind == "OperationStarted"}
    assert {"tower/tower/tower/add", "fans[2]/sum", "halves[1][0]/halve", "draws[1]/drawing/draw"} <= started
    assert set(states) <= started | {"fans", "halves"}

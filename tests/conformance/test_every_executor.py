"""Every executor, and every mix of them, gives the results, states, events and errors that the inline one gives."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from graph_script import random_script
from oracle_runs import WAYS, check
from patience import close_in_time
from scripted_graph import LIMITS
from work_elsewhere import root

from execution_dataflow import ExecutionEngine, GraphDefinition, ItemFailure, MapError

GRAPHS = 12

# The default of the engine, and what operations say in turn.
MIXES: dict[str, tuple[str | None, tuple[str | None, ...]]] = {
    "inline": ("inline", (None,)),
    "thread": ("thread", (None,)),
    "process": ("process", (None,)),
    "thread and process": (None, ("thread", "process")),
    "process and inline": ("process", (None, "inline")),
    "all": (None, ("process", "thread", "inline")),
}


@pytest.fixture(scope="module", params=MIXES)
def mixed(request: pytest.FixtureRequest) -> Iterator[tuple[ExecutionEngine, tuple[str | None, ...]]]:
    default, executors = MIXES[request.param]
    engine = ExecutionEngine(max_workers=2, executor=default, event_drain_seconds=60, **LIMITS)
    yield engine, (default, *executors) if default == "process" else executors
    close_in_time(engine.close)


@pytest.mark.parametrize("seed", range(GRAPHS))
def test_random_graphs_agree_with_the_oracle_on_every_executor(
    mixed: tuple[ExecutionEngine, tuple[str | None, ...]], seed: int
) -> None:
    engine, executors = mixed
    random = Random(f"conformance-{seed}")
    script = random_script(random, random.randint(1, 40))
    way, fail_fast, retain = random.choice(WAYS), random.random() < 0.5, random.choice(["terminal", "all"])
    check(engine, script, way, fail_fast, retain, True, executors=executors, limited=seed % 2 == 0)


def outcome_of_map(engine: ExecutionEngine, executor: Any, numbers: list[int], on_error: Any) -> Any:
    graph = GraphDefinition()
    roots = graph.map(root.new(executor=executor), over=numbers, on_error=on_error)
    total = graph.add(lambda values: sum(v for v in values if not isinstance(v, ItemFailure)), values=roots)
    result = engine.run(graph, failure_policy="continue", retain="all")
    if result.is_successful():
        values = result.get_output(roots)
        shown = [(v.index, str(v.error)) if isinstance(v, ItemFailure) else v for v in values]
        return shown, result.get_output(total)
    error = result.first_error.exception
    assert isinstance(error, MapError)
    return type(error), str(error), result.get_state(total)


@pytest.mark.parametrize("on_error", ["fail", "keep"])
@pytest.mark.parametrize("numbers", [[], list(range(50)), [4, -1, 9, -4]])
def test_maps_end_alike_on_every_executor(
    mixed: tuple[ExecutionEngine, tuple[str | None, ...]], numbers: list[int], on_error: str
) -> None:
    engine, executors = mixed
    with ExecutionEngine(executor="inline") as inline:
        expected = outcome_of_map(inline, None, numbers, on_error)
    for executor in executors:
        assert outcome_of_map(engine, executor, numbers, on_error) == expected

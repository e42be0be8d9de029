"""Random maps against plain list comprehensions, on one worker and on several."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    ItemFailure,
    MapError,
    RetryPolicy,
    mapped,
    operation,
)

ENGINES = {workers: ExecutionEngine(max_workers=workers) for workers in (1, 4)}


def act(x: int, plus: int, context: ExecutionContext) -> int:
    """Some items sleep, some fail once, some for good."""
    if x % 11 == 3:
        time.sleep(0.0003)
    if x % 7 == 5 and context.attempt == 1:
        raise OSError("busy")
    if x % 13 == 12:
        raise ValueError(f"bad {x}")
    return x + plus


async def act_async(x: int, plus: int, context: ExecutionContext) -> int:
    await asyncio.sleep(0)
    return act(x, plus, context)


def sources(items: list[int], kind: str) -> Any:
    return {"list": items, "array": np.array(items, dtype=object), "iterator": iter(items)}[kind]


@settings(max_examples=120, deadline=None)
@given(
    items=st.lists(st.integers(0, 200), max_size=60),
    kind=st.sampled_from(["list", "array", "iterator"]),
    workers=st.sampled_from([1, 4]),
    is_async=st.booleans(),
    delay=st.sampled_from([0.0, 0.0005]),
    limit=st.sampled_from([None, 1, 2, 7]),
    keep=st.booleans(),
)
def test_a_map_is_a_list_comprehension(
    items: list[int], kind: str, workers: int, is_async: bool, delay: float, limit: int | None, keep: bool
) -> None:
    bad = [index for index, x in enumerate(items) if x % 13 == 12]
    expected = [None if index in bad else x + 10 for index, x in enumerate(items)]
    policy = RetryPolicy(max_attempts=2, delay_seconds=delay, retry_on=OSError)
    graph = GraphDefinition()
    node = graph.map(
        operation(act_async if is_async else act, retry_policy=policy),
        over={"x": sources(items, kind)},
        plus=10,
        max_concurrency=limit,
        on_error="keep" if keep else "fail",
    )
    result = ENGINES[workers].run(graph, failure_policy="continue")
    if bad and not keep:
        error = result.errors[0].exception
        assert isinstance(error, MapError)
        assert list(error.errors) == bad
        values = error.results
    else:
        values = result.get_output(node)
    assert [None if isinstance(value, ItemFailure) else value for value in values] == expected
    assert [value.index for value in values if isinstance(value, ItemFailure)] == bad


@settings(max_examples=60, deadline=None)
@given(
    table=st.lists(st.lists(st.integers(0, 50), max_size=12), max_size=12),
    kinds=st.tuples(st.sampled_from(["list", "iterator"]), st.sampled_from(["list", "iterator"])),
    workers=st.sampled_from([1, 4]),
    limits=st.tuples(st.sampled_from([None, 1, 3]), st.sampled_from([None, 1, 3])),
    stack=st.booleans(),
)
def test_nested_maps_are_nested_comprehensions(
    table: list[list[int]],
    kinds: tuple[str, str],
    workers: int,
    limits: tuple[int | None, int | None],
    stack: bool,
) -> None:
    def double(x: int) -> int:
        if x % 5 == 0:
            time.sleep(0.0002)
        return 2 * x

    graph = GraphDefinition()
    inner = mapped(double, over="x", max_concurrency=limits[1], stack=stack)
    rows = [sources(row, kinds[1]) for row in table]
    node = graph.map(inner, over=iter(rows) if kinds[0] == "iterator" else rows, max_concurrency=limits[0])
    values = ENGINES[workers].run(graph).get_output(node)
    assert [list(row) for row in values] == [[2 * x for x in row] for row in table]

"""Runs of random graphs on many engines, compared with the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from event_rules import check_events
from graph_script import GraphScript
from oracle import FAILED, Observed, disagreements, fates, first_failed
from scripted_graph import Built, build, output_name_of

from execution_dataflow import (
    Event,
    ExecutionEngine,
    ExecutionResult,
    NoValueError,
    OperationFailed,
    OperationStarted,
    OperationState,
    RunState,
)

WAYS = ("run", "submit", "run_async")


def run_on(engine: ExecutionEngine, built: Built, way: str, fail_fast: bool, retain: str) -> ExecutionResult:
    """Run a graph in one of the ways."""
    options: dict[str, Any] = {"failure_policy": "fail_fast" if fail_fast else "continue", "retain": retain}
    if way == "run":
        return engine.run(built.graph, **options)
    if way == "submit":
        return engine.submit(built.graph, **options).result(60)
    return asyncio.run(engine.run_async(built.graph, **options))


def size_of(random: Random) -> int:
    """Most graphs are small; one in twenty has up to 500 operations."""
    kind = random.random()
    if kind < 0.75:
        return random.randint(1, 40)
    return random.randint(41, 150) if kind < 0.95 else random.randint(300, 500)


def observe(script: GraphScript, built: Built, result: ExecutionResult) -> Observed:
    plan = built.graph.compile()
    names = {plan.names[plan.index_of(made)]: index for index, made in enumerate(built.operations)}
    blame = [result.blame(made) for made in built.operations]
    timings = [result.get_timing(made) for made in built.operations]
    outputs = result.outputs()
    values = []
    for index, made in enumerate(built.operations):
        by_name = outputs.get(f"n{index}", {})
        ports = {name: port for port, name in enumerate(made.ports.output_index)}
        values.append({ports[name]: value for name, value in by_name.items()})
    return Observed(
        states=[result.get_state(made) for made in built.operations],
        attempts=[0 if timing is None else timing.attempts for timing in timings],
        blame=[None if name is None else names[name] for name in blame],
        values=values,
    )


def check(
    engine: ExecutionEngine,
    script: GraphScript,
    way: str,
    fail_fast: bool,
    retain: str,
    listen: bool,
    *,
    limited: bool = False,
    executors: Sequence[str | None] = (None,),
) -> None:
    """Run a script on an engine and compare everything that can be seen with what the oracle says.

    Operations ask for limited things if `limited`, and run on `executors` in turn.
    """
    built = build(script, limited=limited, executors=executors)
    position = built.positions()
    for node in script.nodes:
        assert all(position[before] < position[node.index] for before in script.predecessors(node.index))
    expected = fates(script, position)
    events: list[Event] = []
    subscription = engine.subscribe(events.append) if listen else None
    try:
        result = run_on(engine, built, way, fail_fast, retain)
    finally:
        if subscription is not None:
            subscription.close()
    seen = observe(script, built, result)
    assert not disagreements(script, expected, seen, fail_fast=fail_fast)
    has_failed = any(fate.state is FAILED for fate in expected)
    assert result.state is (RunState.FAILED if has_failed else RunState.SUCCEEDED)
    assert (result.get_error_message() is not None) == has_failed
    check_first_error(result, seen, position, fail_fast, first_failed(expected, position))
    check_kept_values(script, built, result, seen, retain)
    fell_back = {f"n{index}" for index, fate in enumerate(expected) if fate.fell_back}
    if not (fail_fast and has_failed):
        assert {failure.operation for failure in result.fallbacks} == fell_back
    if listen:
        before = {f"n{node.index}": {f"n{p}" for p in script.predecessors(node.index)} for node in script.nodes}
        check_events(events, result, before, {f"n{index}": count for index, count in enumerate(seen.attempts)})
        is_serial = engine.max_workers == 1 and executors == (None,) and not any(node.is_async for node in script.nodes)
        if fail_fast and is_serial:
            check_nothing_starts_after_a_failure(events, {f"n{node.index}" for node in script.nodes if node.always_run})


def check_nothing_starts_after_a_failure(events: list[Event], cleans_up: set[str]) -> None:
    kinds = [type(event) for event in events]
    if OperationFailed in kinds:
        later = events[kinds.index(OperationFailed) :]
        started = {event.operation for event in later if isinstance(event, OperationStarted)}
        assert started <= cleans_up


def check_first_error(
    result: ExecutionResult, seen: Observed, position: list[int], fail_fast: bool, expected: int | None
) -> None:
    failed = sorted((position[index], index) for index, state in enumerate(seen.states) if state is FAILED)
    assert [error.operation for error in result.errors] == [f"n{index}" for _, index in failed]
    if not fail_fast:
        assert (result.first_error and result.first_error.operation) == (None if expected is None else f"n{expected}")


def check_kept_values(script: GraphScript, built: Built, result: ExecutionResult, seen: Observed, retain: str) -> None:
    consumed = script.consumed()
    for node, made, state in zip(script.nodes, built.operations, seen.states, strict=True):
        for port in range(len(node.optional_outputs)):
            is_kept = retain == "all" or (node.index, port) not in consumed
            has_value = state is OperationState.SUCCEEDED and port not in node.unset
            assert (port in seen.values[node.index]) == (is_kept and has_value)
            if is_kept and not has_value:
                with pytest.raises(NoValueError):
                    result.get_output(made, output_name_of(made, port))

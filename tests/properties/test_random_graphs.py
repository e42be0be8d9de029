"""Random graphs agree with the oracle: R3, R4, R5, R6, G5 and O1, over workers, policies and ways to run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from event_rules import check_events
from graph_script import GraphScript, random_script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import FAILED, Observed, disagreements, fates, first_failed
from patience import close_in_time
from scripted_graph import LIMITS, Built, build, output_name_of

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

BATCHES = 20
GRAPHS_IN_A_BATCH = 100
WAYS = ("run", "submit", "run_async")


@dataclass
class Rig:
    """Engines of one to eight workers, each with its events; every second one has limits."""

    engines: dict[int, ExecutionEngine] = field(default_factory=dict)
    events: dict[int, list[Event]] = field(default_factory=dict)

    def run(self, built: Built, workers: int, way: str, fail_fast: bool, retain: str) -> ExecutionResult:
        engine = self.engines[workers]
        options = {"failure_policy": "fail_fast" if fail_fast else "continue", "retain": retain}
        if way == "run":
            return engine.run(built.graph, **options)
        if way == "submit":
            return engine.submit(built.graph, **options).result(60)
        return asyncio.run(engine.run_async(built.graph, **options))


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    rig = Rig()
    for workers in range(1, 9):
        # So small a limit that no value fits: operations go on one at a time.
        memory = 1 if workers % 4 == 0 else None
        limits = LIMITS if workers % 2 == 0 else {}
        rig.engines[workers] = ExecutionEngine(
            max_workers=workers, event_drain_seconds=60, memory_limit=memory, **limits
        )
    yield rig
    for engine in rig.engines.values():
        close_in_time(engine.close)


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


def check(rig: Rig, script: GraphScript, workers: int, way: str, fail_fast: bool, retain: str, listen: bool) -> None:
    built = build(script, limited=workers % 2 == 0)
    position = built.positions()
    for node in script.nodes:
        assert all(position[before] < position[node.index] for before in script.predecessors(node.index))
    expected = fates(script, position)
    events: list[Event] = []
    subscription = rig.engines[workers].subscribe(events.append) if listen else None
    try:
        result = rig.run(built, workers, way, fail_fast, retain)
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
        if fail_fast and workers == 1 and not any(node.is_async for node in script.nodes):
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


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_graphs_agree_with_the_oracle(batch: int, rig: Rig, soak_scale: int) -> None:
    for number in range(GRAPHS_IN_A_BATCH * soak_scale):
        seed = f"{batch}-{number}"
        random = Random(seed)
        script = random_script(random, size_of(random))
        workers, way = random.randint(1, 8), random.choice(WAYS)
        fail_fast, retain, listen = random.random() < 0.5, random.choice(["terminal", "all"]), random.random() < 0.3
        try:
            check(rig, script, workers, way, fail_fast, retain, listen)
        except AssertionError as error:
            error.add_note(f"{seed=}, {workers=}, {way=}, {fail_fast=}, {retain=}, {listen=}")
            raise


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    random=st.randoms(use_true_random=False),
    size=st.integers(1, 8),
    workers=st.integers(1, 4),
    way=st.sampled_from(WAYS),
    fail_fast=st.booleans(),
    retain=st.sampled_from(["terminal", "all"]),
    listen=st.booleans(),
)
def test_small_graphs_agree_with_the_oracle(
    rig: Rig, random: Random, size: int, workers: int, way: str, fail_fast: bool, retain: str, listen: bool
) -> None:
    check(rig, random_script(random, size), workers, way, fail_fast, retain, listen)


def test_the_same_graph_gives_the_same_plan_and_values_whatever_the_workers(rig: Rig) -> None:
    script = random_script(Random("same"), 200)
    for node in script.nodes:
        node.failing_attempts = min(node.failing_attempts, node.max_attempts - 1)
        node.failure = "flaky"
    builts = [build(script) for _ in range(3)]
    assert len({tuple(built.positions()) for built in builts}) == 1
    outputs = [rig.run(builts[0], workers, "run", False, "all").outputs() for workers in (1, 2, 4, 8, 1)]
    assert all(other == outputs[0] for other in outputs)

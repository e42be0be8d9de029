"""Random graphs agree with the oracle: R3, R4, R5, R6, G5 and O1, over workers, policies and ways to run."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from graph_script import random_script
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle_runs import WAYS, check, run_on, size_of
from patience import close_in_time
from scripted_graph import LIMITS, build

from execution_dataflow import ExecutionEngine

BATCHES = 20
GRAPHS_IN_A_BATCH = 100


Engines = dict[int, ExecutionEngine]


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    """Engines of one to eight workers; every second one has limits."""
    engines: Engines = {}
    for workers in range(1, 9):
        # So small a limit that no value fits: operations go on one at a time.
        memory = 1 if workers % 4 == 0 else None
        limits = LIMITS if workers % 2 == 0 else {}
        engines[workers] = ExecutionEngine(max_workers=workers, event_drain_seconds=60, memory_limit=memory, **limits)
    yield engines
    for engine in engines.values():
        close_in_time(engine.close)


@pytest.mark.soak
@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_graphs_agree_with_the_oracle(batch: int, engines: Engines, soak_scale: int) -> None:
    for number in range(GRAPHS_IN_A_BATCH * soak_scale):
        seed = f"{batch}-{number}"
        random = Random(seed)
        script = random_script(random, size_of(random))
        workers, way = random.randint(1, 8), random.choice(WAYS)
        fail_fast, retain, listen = random.random() < 0.5, random.choice(["terminal", "all"]), random.random() < 0.3
        try:
            check(engines[workers], script, way, fail_fast, retain, listen, limited=workers % 2 == 0)
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
    engines: Engines, random: Random, size: int, workers: int, way: str, fail_fast: bool, retain: str, listen: bool
) -> None:
    check(engines[workers], random_script(random, size), way, fail_fast, retain, listen, limited=workers % 2 == 0)


def test_the_same_graph_gives_the_same_plan_and_values_whatever_the_workers(engines: Engines) -> None:
    script = random_script(Random("same"), 200)
    for node in script.nodes:
        node.failing_attempts = min(node.failing_attempts, node.max_attempts - 1)
        node.failure = "flaky"
    builts = [build(script) for _ in range(3)]
    assert len({tuple(built.positions()) for built in builts}) == 1
    outputs = [run_on(engines[workers], builts[0], "run", False, "all").outputs() for workers in (1, 2, 4, 8, 1)]
    assert all(other == outputs[0] for other in outputs)

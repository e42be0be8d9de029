"""Random streams belong to an operation: no order, worker, process or attempt changes them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, RetryPolicy, operation
from execution_dataflow.random_streams import array_stream, fresh_seed, plain_stream


@operation
def draw(context: ExecutionContext) -> tuple[float, float, float]:
    return float(context.rng().random()), context.random().random(), float(context.rng().random())


def drawn(names: list[str], workers: int, seed: int | None = 11) -> dict[str, tuple[float, float, float]]:
    graph = GraphDefinition("draws")
    nodes = [graph.add(draw.new(name=name)) for name in names]
    result = ExecutionEngine(max_workers=workers).run(graph, ExecutionContext(seed=seed))
    result.raise_if_failed()
    return {name: result.get_output(node) for name, node in zip(names, nodes, strict=True)}


def test_streams_do_not_depend_on_workers_or_order() -> None:
    names = [f"draw{number}" for number in range(20)]
    assert drawn(names, workers=1) == drawn(names, workers=4) == drawn(names[::-1], workers=2)


def test_streams_of_different_operations_differ() -> None:
    values = drawn(["a", "b", "c"], workers=1)
    assert len({value[0] for value in values.values()}) == 3
    assert len({value[1] for value in values.values()}) == 3


def test_a_second_call_goes_on_where_the_first_stopped() -> None:
    first, _, second = drawn(["a"], workers=1)["a"]
    stream = array_stream(11, "a")
    assert (first, second) == (stream.random(), stream.random())


def test_the_plain_stream_is_the_operations_own() -> None:
    assert drawn(["a"], workers=1)["a"][1] == plain_stream(11, "a").random()


def test_a_retry_begins_the_stream_anew() -> None:
    seen: list[tuple[float, float]] = []

    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def flaky(context: ExecutionContext) -> None:
        seen.append((float(context.rng().random()), context.random().random()))
        if context.attempt < 3:
            raise OSError("again")

    graph = GraphDefinition()
    graph.add(flaky)
    ExecutionEngine().run(graph, ExecutionContext(seed=1)).raise_if_failed()
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_runs_with_one_context_at_the_same_time_have_streams_of_their_own() -> None:
    context = ExecutionContext(seed=5)
    both = threading.Barrier(2, timeout=30)

    @operation
    def meet(context: ExecutionContext) -> list[float]:
        values = [float(context.rng().random())]
        both.wait()
        return [*values, float(context.rng().random())]

    outputs: list[list[float]] = []

    def run() -> None:
        graph = GraphDefinition()
        node = graph.add(meet)
        result = ExecutionEngine(max_workers=1).run(graph, context)
        result.raise_if_failed()
        outputs.append(result.get_output(node))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs[0] == outputs[1]


def test_entropy_that_nobody_gave_is_recorded_and_repeats_the_run() -> None:
    graph = GraphDefinition()
    node = graph.add(draw)
    engine = ExecutionEngine()
    first, second = engine.run(graph), engine.run(graph)
    assert first.seed != second.seed
    again = engine.run(graph, ExecutionContext(seed=first.seed))
    assert first.get_output(node) == again.get_output(node) != second.get_output(node)


def test_streams_are_the_same_in_another_process() -> None:
    code = (
        "from execution_dataflow.random_streams import array_stream, plain_stream;"
        "print(array_stream(3, 'load').random(), plain_stream(3, 'load').random())"
    )
    for salt in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        printed = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        ).stdout
        assert printed.split() == [repr(array_stream(3, "load").random()), repr(plain_stream(3, "load").random())]


# Written down once, by the first release.
ARRAY_WORDS = [291227150, 3603206632, 374285193]
PLAIN_WORDS = [3775628737]


def test_streams_never_change_between_releases() -> None:
    """A user's seed repeats a result of last year only while these numbers stay."""
    assert array_stream(2013, "flights/join[3]").integers(0, 1 << 32, 3).tolist() == ARRAY_WORDS
    assert [plain_stream(2013, "flights/join[3]").getrandbits(32)] == PLAIN_WORDS


@pytest.mark.parametrize("identity", ["", "é", "a\0b", "\udc80", "x" * 10_000])
def test_any_identity_has_a_stream(identity: str) -> None:
    assert 0 <= array_stream(0, identity).random() < 1
    assert 0 <= plain_stream(0, identity).random() < 1


def test_seeds_that_nobody_gave_differ() -> None:
    assert len({fresh_seed() for _ in range(100)}) == 100


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), ("7", TypeError), (True, TypeError)])
def test_a_bad_seed_is_refused(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed is"):
        ExecutionContext(seed=seed)  # type: ignore[arg-type]


def test_a_numpy_integer_is_a_seed() -> None:
    import numpy as np

    assert ExecutionContext(seed=np.int64(7)).seed == 7

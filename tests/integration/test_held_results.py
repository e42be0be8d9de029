"""Results of short operations that a worker process sends together: nothing is lost, run twice or waited for."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from living import workers_of
from patience import LIMIT_SECONDS, close_in_time
from work_elsewhere import note_quickly, quick_unless_it_waits

from execution_dataflow import ExecutionEngine, GraphDefinition, OperationState, OperationTimeout, WorkerDied, operation

MANY = 300
BAD = 150


@pytest.fixture
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=1, executor="process", failure_policy="continue")
    yield engine
    close_in_time(engine.close)


@pytest.mark.parametrize(("ends_badly", "error"), [("exit", WorkerDied), ("stuck", OperationTimeout)])
def test_what_finished_before_a_death_is_not_run_again(
    engine: ExecutionEngine, tmp_path: Path, ends_badly: str, error: type[Exception]
) -> None:
    """R10, R11."""
    quick = operation(timeout_seconds=1.0)(note_quickly)

    def run(name: str, bad: int) -> None:
        graph = GraphDefinition(name)
        path = str(tmp_path / name)
        for number in range(MANY):
            graph.add(quick, path=path, number=number, ends_badly=ends_badly if number == bad else "")
        result = engine.run(graph)
        lines = Counter(map(int, (tmp_path / name).read_text().split()))
        assert lines == Counter(range(MANY))
        states = [result.get_state(node) for node in graph.operations]
        assert [number for number, state in enumerate(states) if state is not OperationState.SUCCEEDED] == (
            [] if bad < 0 else [bad]
        )
        if bad >= 0:
            assert result.first_error is not None
            assert type(result.first_error.exception) is error

    # The first runs teach the engine and the worker that it is short.
    run("before", -1)
    for bad in (BAD, BAD + 1, BAD + 2):
        run(f"bad-{bad}", bad)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_deaths_at_random_moments_cost_one_operation_each(
    engine: ExecutionEngine, tmp_path: Path, soak_scale: int
) -> None:
    """R10: without retries nothing is run twice, and what did not fail was run."""
    path = tmp_path / "lines"
    graph = GraphDefinition("killed")
    nodes = [graph.add(note_quickly, path=str(path), number=number) for number in range(2000)]
    chance = random.Random(5)
    killed = 0
    for _ in range(10 * soak_scale):
        path.write_bytes(b"")
        handle = engine.submit(graph)
        kills = 0
        while not handle.done():
            time.sleep(chance.uniform(0.001, 0.02))
            for pid in workers_of(engine):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
            time.sleep(0.1)
        result = handle.result(timeout=LIMIT_SECONDS)
        lines = Counter(map(int, path.read_text().split()))
        failed = {number for number, node in enumerate(nodes) if result.get_state(node) is OperationState.FAILED}
        assert set(lines.values()) == {1}
        assert len(failed) <= kills
        killed += kills
        assert lines.keys() | failed == set(range(len(nodes)))
    assert killed


def test_result_does_not_wait_for_what_takes_long_unexpectedly(engine: ExecutionEngine, tmp_path: Path) -> None:
    path = tmp_path / "successors"

    def note(size: int) -> int:
        with path.open("ab") as file:
            file.write(b"x")
        return size

    def run(count: int, waits: bool) -> float:
        path.write_bytes(b"")
        graph = GraphDefinition("waits")
        quick = [graph.add(quick_unless_it_waits, path=str(path), size=0) for _ in range(count)]
        # It ends when the successors of all others have run: those need the results, which came before it.
        last = graph.add(quick_unless_it_waits, path=str(path), size=count if waits else 0)
        for one in quick:
            graph.add(operation(executor="thread")(note), size=one)
        began = time.monotonic()
        result = engine.run(graph)
        assert result.get_output(last) == (count if waits else 0)
        return time.monotonic() - began

    run(MANY, waits=False)
    for _ in range(5):
        assert run(60, waits=True) < 5.0


def test_everything_comes_when_results_are_of_all_sizes(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("sizes")
    repeated = graph.map(repeat, over={"times": [0, 1, 10, 5000, 3, 40_000, 2] * 40})
    for _ in range(3):
        result = engine.run(graph)
        assert list(result.get_output(repeated)) == [repeat(times) for times in [0, 1, 10, 5000, 3, 40_000, 2] * 40]


def repeat(times: int) -> bytes:
    return b"ab" * times


def test_output_of_an_operation_is_there_when_its_result_is(engine: ExecutionEngine, tmp_path: Path) -> None:
    path = str(tmp_path / "lines")
    graph = GraphDefinition("lines")
    for number in range(MANY):
        graph.add(note_quickly, path=path, number=number)
    engine.run(graph)
    assert os.path.getsize(path) == sum(len(f"{number}\n") for number in range(MANY))

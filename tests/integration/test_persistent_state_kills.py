"""Counters and watermarks while worker processes and whole programs are killed, and while two programs race."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from living import workers_of
from patience import close_in_time
from programs import Program

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    RetryPolicy,
    StateConflictError,
    WorkerDied,
    operation,
)
from execution_dataflow.persistent_state import edit_state

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
ITEMS = 60
KILLS = 3


@posix
def test_items_count_once_each_while_their_processes_are_killed(tmp_path: Path) -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=10_000, retry_on=(WorkerDied, StateConflictError)))
    def work(x: int, context: ExecutionContext) -> int:
        state = context.state
        state.put(f"item/{x}", state.get(f"item/{x}", 0) + 1)
        state.update("all", lambda done: done + 1, default=0)
        return x

    graph = GraphDefinition("killed")
    mapped = graph.map(work, over={"x": list(range(ITEMS))})
    chance, killed = random.Random(5), 0
    engine = ExecutionEngine(max_workers=2, executor="process", state=tmp_path / "state.db")
    try:
        handle = engine.submit(graph, retain="all")
        while killed < KILLS and not handle.wait(chance.random() * 0.05):
            candidates = workers_of(engine)
            if candidates:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(candidates), signal.SIGKILL)
                    killed += 1
        result = handle.result(60)
    finally:
        close_in_time(engine.close)
    assert result.get_output(mapped) == list(range(ITEMS))
    assert killed > 1
    with edit_state(tmp_path / "state.db", "operation:killed/work") as state:
        assert state.get("all") == ITEMS
        assert [state.get(f"item/{x}") for x in range(ITEMS)] == [1] * ITEMS


COUNTING = """
    from pathlib import Path
    from execution_dataflow import *

    @operation(retry_policy=RetryPolicy(max_attempts=10_000, retry_on=StateConflictError))
    def count(x: int, context: ExecutionContext) -> int:
        return context.state.update("all", lambda done: done + 1, default=0)

    graph = GraphDefinition("race")
    mapped = graph.map(count, over={"x": list(range(30))})
    print("ready", flush=True)
    with ExecutionEngine(max_workers=2, state=Path("../state.db")) as engine:
        engine.run(graph).raise_if_failed()
"""


def test_two_programs_that_race_on_one_counter_lose_nothing(tmp_path: Path) -> None:
    programs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        programs.append(Program(tmp_path / name, COUNTING))
    for program in programs:
        program.wait_for("ready")
    for program in programs:
        code, _, errors = program.finish()
        assert code == 0, errors
    with edit_state(tmp_path / "state.db", "operation:race/count") as state:
        assert (state.get("all"), state.version("all")) == (60, 60)


def kill_after(program: Program, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.process.wait(seconds)
    program.process.kill()


LOADING = """
    import sys
    from pathlib import Path
    from execution_dataflow import *

    @operation
    def load(step: int, context: ExecutionContext) -> int:
        state = context.state.namespace("orders")
        watermark = state.get("watermark", 0) + 1
        state.put("watermark", watermark)
        state.namespace("totals").update("sum", lambda total: total + watermark, default=0)
        return watermark

    graph = GraphDefinition("incremental")
    chain = graph.add(load, step=0)
    for step in range(9):
        chain = graph.add(load, step=chain)
    with ExecutionEngine(max_workers=1, state=Path("state.db")) as engine:
        engine.run(graph).raise_if_failed()
        print("ready", flush=True)
        while True:
            engine.run(graph).raise_if_failed()
"""


@posix
def test_watermark_and_what_was_loaded_agree_whenever_the_program_is_killed(tmp_path: Path) -> None:
    chance, last = random.Random(6), 0
    for _ in range(2):
        program = Program(tmp_path, LOADING)
        program.wait_for("ready")
        kill_after(program, chance.random() * 0.2)
        program.finish()
        with edit_state(tmp_path / "state.db", "orders") as state:
            watermark = state.get("watermark", 0)
            assert state.namespace("totals").get("sum", 0) == watermark * (watermark + 1) // 2
            assert watermark >= last
            last = watermark
    assert last > 0


RESUMED = """
    from execution_dataflow import *

    @operation
    def count(step: int, context: ExecutionContext) -> int:
        print("step", step, flush=True)
        context.state.namespace("steps").update("all", lambda done: done + 1, default=0)
        return step + 1

    @operation
    def numbers(count: int) -> list[int]:
        return list(range(count))

    @operation
    def count_item(item: int, context: ExecutionContext) -> int:
        print("item", item, flush=True)
        items = context.state.namespace("items")
        items.put(str(item), items.get(str(item), 0) + 1)
        return item

    graph = GraphDefinition("resumed")
    chain = graph.add(count, step=0)
    for _ in range(19):
        chain = graph.add(count, step=chain)
    mapped = graph.map(count_item, over={"item": graph.add(numbers, count=chain)})
    with ExecutionEngine(max_workers=1, checkpoint="sqlite:///runs.db") as engine:
        result = engine.run(graph, ExecutionContext("counted"), retain="all")
    result.raise_if_failed()
    print(result.get_output(chain), sum(result.get_output(mapped)), len(result.restored))
"""


@posix
def test_state_of_a_run_that_is_killed_and_resumed_counts_once(tmp_path: Path) -> None:
    chance = random.Random(7)
    for moment in ("step 5", "step 13", "item 9"):
        program = Program(tmp_path, RESUMED)
        program.wait_for(moment)
        kill_after(program, 0.01 * chance.random())
        program.finish()
    code, lines, errors = Program(tmp_path, RESUMED).finish()
    assert code == 0, errors
    assert lines[-1] == "20 190 21"
    with edit_state(tmp_path / "runs.db", "steps") as state:
        assert state.get("all") == 20
        assert [state.namespace("items").get(str(item)) for item in range(20)] == [1] * 20

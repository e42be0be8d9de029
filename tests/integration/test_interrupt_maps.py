"""Ctrl-C in the middle of a map (rule R9): nothing more of it is run, and the engine can be used again."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from programs import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals can be sent to a process there")

LIMIT_SECONDS = 1.0

MAPS = {
    "items that sleep": "graph.map(sleeps, over=range(10**6))",
    "an endless iterator": "graph.map(returns, over=iter(int, 1))",
    "an iterator that sleeps": "graph.map(returns, over=(time.sleep(0.001) for _ in iter(int, 1)))",
    "maps in a map": "graph.map(mapped(sleeps, over='x'), over=[range(10**5)] * 100)",
    "coroutines": "graph.map(sleeps_on_the_loop, over=range(200))",
    "items that wait for a retry": "graph.map(busy, over=range(200))",
}

PROGRAM = """
    import asyncio, signal, sys, threading, time
    from execution_dataflow import *

    def sleeps(x):
        time.sleep(0.001)

    def returns(x):
        return x

    async def sleeps_on_the_loop(x):
        await asyncio.sleep(100)

    @operation(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=100))
    def busy(x):
        raise OSError("busy")

    graph = GraphDefinition()
    node = {map}
    threading.Timer(0.3, lambda: print("ready", flush=True)).start()
    engine = ExecutionEngine(max_workers={workers})
    try:
        engine.run(graph)
    except RunInterrupted as interrupted:
        print(time.monotonic(), interrupted.result.get_state(node).name, flush=True)
    again = GraphDefinition()
    print(engine.run(again).is_successful(), again.map(returns, over=[]) is not None, flush=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", MAPS)
def test_ctrl_c_ends_a_map(kind: str, workers: int, tmp_path: Path) -> None:
    added = MAPS[kind]
    program = Program(tmp_path, PROGRAM.format(map=added, workers=workers))
    program.wait_for("ready")
    sent = time.monotonic()
    program.interrupt(signal.SIGINT)
    code, lines, errors = program.finish()
    assert (code, errors) == (0, ""), errors
    ended, state = next(line.split() for line in lines if line.endswith("CANCELLED"))
    assert state == "CANCELLED"
    assert float(ended) - sent < LIMIT_SECONDS
    assert lines[-1].startswith("True")

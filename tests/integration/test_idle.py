"""An engine that has nothing to do uses no CPU: its threads sleep until somebody wakes them, and do not look around."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import run_program

resource = pytest.importorskip("resource", reason="this platform does not count what a process uses")

# Threads of every kind are started and used: workers, the event loop, the dispatcher of events. Then all of them sleep,
# the main thread too, and what the process uses in a while is printed.
PROGRAM = """
    import resource, threading, time
    from execution_dataflow import *

    async def coroutine() -> int:
        return 1

    meet = threading.Barrier(3)
    graph = GraphDefinition()
    graph.add(coroutine)
    for _ in range(3):
        graph.add(lambda: meet.wait(30))
    engine = ExecutionEngine(max_workers=4)
    engine.subscribe(lambda event: None)
    engine.run(graph).raise_if_failed()
    engine.submit(graph).result().raise_if_failed()
    print(sorted({thread.name.rstrip("-0123456789") for thread in threading.enumerate()}))
    time.sleep(0.3)  # for the threads to go to sleep

    before, started = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    time.sleep(2)
    used, after = time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF)
    print(used)
    print(after.ru_nvcsw - before.ru_nvcsw)
"""

# Two milliseconds in two seconds are a thousandth of a CPU, and far more than what the main thread needs to wake up.
MOST_SECONDS = 0.002
# The main thread goes to sleep once; a thread that looked around even once a second would add two.
MOST_SLEEPS = 2


def test_an_idle_engine_uses_no_cpu(tmp_path: Path) -> None:
    code, (threads, used, sleeps), errors = run_program(tmp_path, PROGRAM)
    assert (code, errors) == (0, "")
    expected = ["MainThread", "execution-dataflow", "execution-dataflow-events", "execution-dataflow-loop"]
    assert threads == str(expected)
    assert float(used) < MOST_SECONDS
    assert int(sleeps) <= MOST_SLEEPS

"""Runs that operations of runs begin, without an end: an error, whatever limit of calls Python was given."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import sys
    import threading

    from execution_dataflow import ExecutionEngine, GraphDefinition

    sys.setrecursionlimit(10**6)
    engine = ExecutionEngine(max_workers=1)
    depths = []

    def again(depth):
        depths.append(depth)
        inner = graph_at(depth + 1)
        result = RUN
        raise result.first_error.exception

    def graph_at(depth):
        graph = GraphDefinition("etl")
        graph.add(again, depth=depth)
        return graph

    def begin():
        error = engine.run(graph_at(0)).first_error.exception
        print(type(error).__name__, max(depths) > 20, str(error)[:36], sep="|")

    threading.stack_size(STACK)
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize("run", ["engine.run(inner)", "engine.submit(inner).result()"])
@pytest.mark.parametrize("stack", [512 << 10, 8 << 20])
def test_runs_within_runs_without_an_end_are_an_error(run: str, stack: int) -> None:
    program = textwrap.dedent(PROGRAM).replace("RUN", run).replace("STACK", str(stack))
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    told = "RecursionError|True|so many runs stand within each other"
    assert (ended.returncode, ended.stdout.strip()) == (0, told), ended.stderr[-2000:]

"""Processes that want the same result compute it once, and take over from one that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_lines import ENVIRONMENT
from patience import eventually

from execution_dataflow import ResultCache

PROGRAM = """
import json, sys, time
from pathlib import Path
from execution_dataflow import ExecutionEngine, GraphDefinition, ResultCache, operation

address, trace, seconds, executor = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]

@operation(cache=True, executor=executor)
def compute(trace: str, x: int) -> int:
    with open(trace, "ab", buffering=0) as file:
        file.write(b"begun\\n")
    time.sleep(float(Path(trace).with_name("seconds").read_text()))
    return x + 1

Path(trace).with_name("seconds").write_text(str(seconds))
graph = GraphDefinition("shared")
made = graph.add(compute, trace=trace, x=1)
with ResultCache(address, claim_seconds=2) as cache, ExecutionEngine(max_workers=2, cache=cache) as engine:
    print("ready", flush=True)
    sys.stdin.readline()
    result = engine.run(graph)
    print(json.dumps([result.get_output(made), result.cached, result.warnings]), flush=True)
"""


class Program:
    """A process that runs the graph when it is told to."""

    def __init__(self, folder: Path, seconds: float, executor: str) -> None:
        # A file, so that both have the same code.
        script = folder / "program.py"
        script.write_text(PROGRAM, encoding="utf-8")
        arguments = [f"sqlite:///{folder}/results.db", str(folder / "trace"), str(seconds), executor]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> list[object]:
        out, _ = self.process.communicate(timeout=30)
        found: list[object] = json.loads(out)
        return found


def begun(folder: Path) -> int:
    trace = folder / "trace"
    return len(trace.read_text().splitlines()) if trace.exists() else 0


def test_two_processes_compute_once(tmp_path: Path) -> None:
    programs = [Program(tmp_path, 0.7, executor) for executor in ("thread", "process")]
    for program in programs:
        program.begin()
    ended = sorted((program.end() for program in programs), key=str)
    assert ended == [[2, {"compute": 1}, []], [2, {}, []]]
    assert begun(tmp_path) == 1


@pytest.mark.skipif(
    sys.platform == "win32", reason="there, only the end of the claim tells of a process that was killed"
)
def test_another_process_takes_over_from_one_that_was_killed(tmp_path: Path) -> None:
    victim, heir = Program(tmp_path, 60, "thread"), Program(tmp_path, 60, "thread")
    victim.begin()
    assert eventually(lambda: begun(tmp_path) == 1)
    heir.begin()
    time.sleep(0.5)
    assert begun(tmp_path) == 1
    (tmp_path / "seconds").write_text("0")
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.process.wait()
    moment = time.monotonic()
    assert heir.end() == [2, {}, []]
    # On one machine, nobody waits for the claim to end.
    assert time.monotonic() - moment < 10
    assert begun(tmp_path) == 2
    with ResultCache(tmp_path / "results.db") as cache:
        assert len(cache.entries()) == 1
    victim.process.communicate()

"""R9: Ctrl-C ends a run, and its clean-ups and reverts still take place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to a process group of POSIX")

START = """
    import json, time
    from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, Operation, OutputPort, operation

    told = []

    class Book(Operation):
        booking = OutputPort(str)

        def execute(self, context):
            self.booking = "no. 7"

        def revert(self, context):
            told.append("cancelled " + self.get_output("booking"))

    class Close(Operation):
        always_run = True

        def execute(self, context):
            time.sleep(0.05)
            told.append("closed")

    class CloseLater(Operation):
        always_run = True

        async def execute(self, context):
            import asyncio
            await asyncio.sleep(0.05)
            told.append("closed later")

    def nap(booking):
        print("ready", flush=True)
        time.sleep(1000)

    graph = GraphDefinition()
    book = graph.add(Book())
    napping = graph.add(nap, booking=book)
    for close in (Close(), CloseLater()):
        graph.add_dependency(napping, graph.add(close))
    engine = ExecutionEngine(max_workers=WORKERS)
    try:
        engine.run(graph, on_failure="revert")
    except KeyboardInterrupt as error:
        print(json.dumps({
            "kind": type(error).__name__,
            "told": sorted(told[:-1]) + told[-1:],
            "reverted": error.result.reverted,
            "state": error.result.state.value,
        }), flush=True)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_lets_clean_ups_run_and_undoes_the_run(workers: int, tmp_path: Path) -> None:
    program = Program(tmp_path, START.replace("WORKERS", str(workers)))
    program.wait_for("ready")
    program.interrupt()
    code, lines, errors = program.finish()
    assert (code, errors) == (0, ""), errors
    report = json.loads(lines[-1])
    assert report == {
        "kind": "RunInterrupted",
        "told": ["closed", "closed later", "cancelled no. 7"],
        "reverted": ["Book"],
        "state": "CANCELLED",
    }

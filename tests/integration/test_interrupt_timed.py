"""Ctrl-C while operations have time limits, or do not stop by themselves (rules R9 and R11)."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from interruption import AGAIN, START, check, interrupted
from programs import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals can be sent to a process there")

QUICK = """
    engine = ExecutionEngine(max_workers=2, grace_seconds=0.2)
    libc = __import__("ctypes").CDLL(None)
"""

# Each defines `go`, which is interrupted, and calls ready() when it is under way. `let_go` is when the code stopped, or
# when it was set aside.
SITUATIONS = {
    "timed operation in Python code": """
        def spin():
            global let_go
            ready()
            try:
                while True:
                    pass
            finally:
                let_go = time.monotonic()
        go = lambda: engine.run(graph_of(operation(spin, timeout_seconds=1000)), max_workers=1)
    """,
    "timed operation that looks": """
        def looks(context: ExecutionContext):
            global let_go
            ready()
            while not context.cancelled:
                time.sleep(0.001)
            let_go = time.monotonic()
        graph = graph_of(operation(looks, timeout_seconds=1000))
        first, last = next(iter(graph.operations)), graph.add(lambda: None)
        graph.add_dependency(first, last)
        go = lambda: engine.run(graph, max_workers=1)
    """,
    "timed operation that is stuck in native code": """
        def stuck():
            global let_go
            ready()
            let_go = time.monotonic() + 0.4
            libc.sleep(3)
        go = lambda: engine.run(graph_of(operation(stuck, timeout_seconds=1000)), max_workers=1)
    """,
    "items with time limits": """
        def spin(number):
            global let_go
            if number == 7:
                ready()
                try:
                    while True:
                        pass
                finally:
                    let_go = time.monotonic()
        graph = GraphDefinition()
        graph.map(operation(spin, timeout_seconds=1000), over=list(range(10)))
        go = lambda: engine.run(graph)
    """,
    "operation on a worker that neither looks nor stops": """
        main = threading.main_thread()
        def spin():
            global let_go
            if threading.current_thread() is main:
                time.sleep(0.05)
                return
            threading.Timer(0.2, ready).start()
            try:
                while True:
                    pass
            finally:
                let_go = time.monotonic()
        go = lambda: engine.run(graph_of(*[spin] * 6))
    """,
    "timed operation that runs a graph": """
        def inner():
            global let_go
            ready()
            try:
                while True:
                    pass
            finally:
                let_go = time.monotonic()
        def outer():
            engine.run(graph_of(inner))
        go = lambda: engine.run(graph_of(operation(outer, timeout_seconds=1000)), max_workers=1)
    """,
    "run with a deadline": """
        def nap():
            ready()
            time.sleep(1000)
        go = lambda: engine.run(graph_of(nap), max_workers=1, deadline_seconds=1000)
    """,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_interrupt_ends_run(situation: str, tmp_path: Path) -> None:
    drive = """
    try:
        go()
    except KeyboardInterrupt as error:
        report(error)
    """
    check(interrupted(Program(tmp_path, START, QUICK, SITUATIONS[situation], drive, AGAIN)))


def test_interrupts_at_any_moment_of_timed_runs_leave_a_process_that_works(tmp_path: Path) -> None:
    program = """
    import random
    def step(number):
        end = time.monotonic() + random.uniform(0, 0.003)
        while time.monotonic() < end:
            pass
    graph = GraphDefinition()
    for number in range(4):
        graph.add(operation(step, timeout_seconds=0.002), number=number)
    graph.map(operation(step, timeout_seconds=0.002), over=list(range(4)), on_error="keep")
    kinds, done = {}, []
    def one_run():
        engine.run(graph, failure_policy="continue", deadline_seconds=5)
    one_run()
    interrupt_inside(one_run, [], done)
    ready()
    while not done:
        try:
            one_run()
        except KeyboardInterrupt as error:
            kinds[type(error).__name__] = kinds.get(type(error).__name__, 0) + 1
            if type(error) is RunInterrupted:
                assert all(state.is_final for state in error.result.states.values())
    print(json.dumps(kinds), flush=True)
    """
    running = Program(tmp_path, START, QUICK, program, AGAIN)
    running.wait_for("ready")
    pauses = random.Random(11)
    for _ in range(150):
        time.sleep(pauses.uniform(0.001, 0.02))
        running.interrupt()
        if running.process.poll() is not None:
            break
    time.sleep(0.5)
    running.interrupt(signal.SIGUSR1)
    code, lines, errors = running.finish()
    assert code == 0, errors
    assert json.loads(lines[-2])["RunInterrupted"] > 10
    assert json.loads(lines[-1]) == {"again": True}


@pytest.mark.parametrize("holds", [False, True], ids=["releases the lock", "holds the lock"])
def test_program_ends_although_timed_operations_are_stuck(holds: bool, tmp_path: Path) -> None:
    # One that holds the interpreter's lock holds up the end of the program by as long as it does so, and no longer.
    program = """
    import ctypes
    library = ctypes.PyDLL(None) if HOLDS else ctypes.CDLL(None)
    def stuck():
        library.sleep(2 if HOLDS else 1000)
    result = engine.run(graph_of(operation(stuck, timeout_seconds=0.1)))
    print(type(result.first_error.exception).__name__, flush=True)
    """
    code, lines, errors = Program(tmp_path, START, QUICK, program.replace("HOLDS", repr(holds))).finish()
    assert (code, lines, errors) == (0, ["OperationTimeout"], "")


def test_fork_within_a_timed_operation_leaves_a_child_that_works(tmp_path: Path) -> None:
    program = """
    import os
    def forks():
        child = os.fork()
        if child == 0:
            again = engine.run(graph_of(operation(lambda: 1, timeout_seconds=20)))
            os._exit(0 if again.is_successful() else 1)
        return os.waitpid(child, 0)[1]
    graph = GraphDefinition()
    node = graph.add(operation(forks, timeout_seconds=20))
    result = engine.run(graph)
    print(result.get_output(node), flush=True)
    """
    code, lines, errors = Program(tmp_path, START, QUICK, program, options=["-W", "ignore"]).finish()
    assert (code, lines, errors) == (0, ["0"], "")


def test_child_of_a_fork_has_time_limits_and_deadlines_of_its_own(tmp_path: Path) -> None:
    program = """
    import os
    def spin():
        while True:
            pass
    limited = lambda: engine.run(graph_of(operation(spin, timeout_seconds=0.1)))
    late = lambda: engine.run(graph_of(spin), deadline_seconds=0.1)
    limited(), late()
    child = os.fork()
    if child == 0:
        timeout, deadline = limited(), late()
        good = type(timeout.first_error.exception).__name__ == "OperationTimeout" and deadline.cancelled_by
        os._exit(0 if good else 1)
    print(os.waitpid(child, 0)[1], flush=True)
    """
    code, lines, errors = Program(tmp_path, START, QUICK, program, options=["-W", "ignore"]).finish()
    assert (code, lines, errors) == (0, ["0"], "")

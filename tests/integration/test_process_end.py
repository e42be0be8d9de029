"""A program that never calls ``close()`` ends as it would without an engine (rule R12)."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest
from programs import Program, run_program

START = """
    import sys, threading, time
    from execution_dataflow import ExecutionEngine, GraphDefinition

    def graph_of(*functions):
        graph = GraphDefinition()
        for function in functions:
            graph.add(function)
        return graph

"""

STRICT = ("-X", "dev", "-W", "error")

ENDINGS = {
    "idle engine": "engine = ExecutionEngine(max_workers=4)",
    "after a run": "ExecutionEngine(max_workers=4).run(graph_of(*[lambda: 1] * 20)).raise_if_failed()",
    "after a submitted run": "ExecutionEngine(max_workers=4).submit(graph_of(lambda: 1)).result().raise_if_failed()",
    "result kept": "result = ExecutionEngine(max_workers=2).run(graph_of(lambda: object()))",
    "after many engines": """
        engines = [ExecutionEngine(max_workers=3) for _ in range(20)]
        for engine in engines:
            engine.run(graph_of(lambda: 1, lambda: 2)).raise_if_failed()
    """,
    "after coroutines": """
        import asyncio
        async def nap(): await asyncio.sleep(0.01)
        engine = ExecutionEngine()
        engine.run(graph_of(*[nap] * 20)).raise_if_failed()
    """,
    "submitted run asleep": """
        engine = ExecutionEngine(max_workers=3)
        handle = engine.submit(graph_of(*[lambda: time.sleep(0.3)] * 3))
    """,
    "submitted run that was just started": """
        for _ in range(10):
            ExecutionEngine(max_workers=3).submit(graph_of(*[lambda: time.sleep(0.001)] * 30))
    """,
    "submitted run of the CPU": """
        started = threading.Event()
        def spin():
            started.set()
            while True:
                pass
        engine = ExecutionEngine(max_workers=2)
        handle = engine.submit(graph_of(spin))
        started.wait()
    """,
    "submitted run that catches Exception": """
        started = threading.Event()
        def stubborn():
            while True:
                try:
                    started.set()
                    sum(range(100))
                except Exception:
                    pass
        handle = ExecutionEngine(max_workers=2).submit(graph_of(stubborn))
        started.wait()
    """,
    "submitted coroutine asleep": """
        import asyncio
        started = threading.Event()
        async def nap():
            started.set()
            await asyncio.sleep(1000)
        engine = ExecutionEngine()
        handle = engine.submit(graph_of(nap))
        started.wait()
    """,
    "submitted coroutine that clears up": """
        import asyncio
        started = threading.Event()
        async def nap():
            started.set()
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0.05)
        handle = ExecutionEngine().submit(graph_of(nap))
        started.wait()
    """,
    "many operations queued": """
        started = threading.Event()
        def nap():
            started.set()
            time.sleep(0.02)
        handle = ExecutionEngine(max_workers=2).submit(graph_of(*[nap] * 20_000))
        started.wait()
    """,
    "operation that waits for its retry": """
        from execution_dataflow import Operation, RetryPolicy
        started = threading.Event()
        class Later(Operation):
            def __init__(self):
                super().__init__(retry_policy=RetryPolicy(max_attempts=2, delay_seconds=1000))
            def execute(self, context):
                started.set()
                raise OSError("busy")
        handle = ExecutionEngine().submit(graph_of(Later()))
        started.wait()
    """,
    "operation that looks at context.cancelled": """
        from execution_dataflow import ExecutionContext, operation
        started = threading.Event()
        @operation
        def patient(context: ExecutionContext):
            started.set()
            while not context.cancelled:
                time.sleep(0.01)
        handle = ExecutionEngine(max_workers=2).submit(graph_of(patient))
        started.wait()
    """,
    "subscriber": """
        engine = ExecutionEngine()
        engine.subscribe(lambda event: None)
        engine.run(graph_of(lambda: 1)).raise_if_failed()
    """,
    "subscriber of a run that goes on": """
        started = threading.Event()
        def nap():
            started.set()
            time.sleep(0.2)
        engine = ExecutionEngine(max_workers=2)
        engine.subscribe(lambda event: None)
        handle = engine.submit(graph_of(nap, nap))
        started.wait()
    """,
    "engine used from another thread": """
        thread = threading.Thread(target=lambda: ExecutionEngine(max_workers=2).run(graph_of(lambda: 1, lambda: 2)))
        thread.start()
    """,
    "daemon thread inside run": """
        started = threading.Event()
        def nap():
            started.set()
            time.sleep(0.3)
        engine = ExecutionEngine(max_workers=2)
        threading.Thread(target=engine.run, args=(graph_of(nap, nap),), daemon=True).start()
        started.wait()
    """,
    "engine in a reference cycle": """
        class Holder: pass
        holder = Holder()
        holder.engine, holder.itself = ExecutionEngine(max_workers=2), holder
        holder.result = holder.engine.run(graph_of(lambda: holder))
    """,
    "run in an exit handler": """
        import atexit
        engine = ExecutionEngine(max_workers=1)
        atexit.register(lambda: engine.run(graph_of(lambda: 1)).raise_if_failed())
    """,
    "engine in a module that is imported late": """
        import threading
        threading.Thread(target=lambda: __import__("execution_dataflow").ExecutionEngine(max_workers=2)).start()
    """,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_program_without_close_ends_cleanly(ending: str, tmp_path: Path) -> None:
    code, lines, errors = run_program(tmp_path, START, ENDINGS[ending], "print('end')", options=STRICT)
    assert (code, lines, errors) == (0, ["end"], "")


def test_exit_code_is_kept_while_a_run_goes_on(tmp_path: Path) -> None:
    program = """
    handle = ExecutionEngine(max_workers=2).submit(graph_of(lambda: time.sleep(0.3)))
    sys.exit(3)
    """
    assert run_program(tmp_path, START, program, options=STRICT) == (3, [], "")


def test_exception_in_main_is_shown_and_ends_the_program_while_a_run_goes_on(tmp_path: Path) -> None:
    program = """
    handle = ExecutionEngine(max_workers=2).submit(graph_of(lambda: time.sleep(0.3)))
    raise ValueError("in main")
    """
    code, _, errors = run_program(tmp_path, START, program)
    assert code == 1
    assert errors.splitlines()[-1] == "ValueError: in main"
    assert errors.count("Traceback") == 1


def test_os_exit_ends_the_program_at_once(tmp_path: Path) -> None:
    program = """
    import os
    handle = ExecutionEngine(max_workers=2).submit(graph_of(*[lambda: time.sleep(1000)] * 2))
    os._exit(4)
    """
    began = time.monotonic()
    assert run_program(tmp_path, START, program, options=STRICT) == (4, [], "")
    assert time.monotonic() - began < 20


def test_last_events_are_delivered_at_the_end(tmp_path: Path) -> None:
    program = """
    started = threading.Event()
    def nap():
        started.set()
        time.sleep(0.2)
    engine = ExecutionEngine(max_workers=2)
    engine.subscribe(lambda event: print(type(event).__name__, getattr(event, "state", None)))
    handle = engine.submit(graph_of(nap))
    started.wait()
    """
    code, lines, errors = run_program(tmp_path, START, program, options=STRICT)
    assert (code, errors) == (0, "")
    assert lines[-1].startswith("GraphCompleted")


def test_cancelled_operations_learn_why(tmp_path: Path) -> None:
    program = """
    from execution_dataflow import AttemptCancelled, ExecutionContext, operation
    started = threading.Event()
    @operation
    def patient(context: ExecutionContext):
        started.set()
        while True:
            try:
                context.raise_if_cancelled()
            except AttemptCancelled as reason:
                print(reason, flush=True)
                raise
            time.sleep(0.01)
    handle = ExecutionEngine(max_workers=2).submit(graph_of(patient))
    started.wait()
    """
    assert run_program(tmp_path, START, program, options=STRICT) == (
        0,
        ["the run was cancelled: the program ended"],
        "",
    )


# An operation that nothing can stop. The interpreter ends such threads where they stand, and up to CPython 3.13 on
# Linux that unwinds their whole stack, native frames included.
STUCK = {
    "in native code, for good": "def stuck(): started.set(); time.sleep(1000)",
    # It comes back while the interpreter is being taken apart.
    "in native code, back after 5.6 s": "def stuck(): started.set(); time.sleep(5.6)",
    "in Python code that catches everything": """
    def spin():
        while True:
            started.set()
    def stuck():
        while True:
            try:
                spin()
            except BaseException:
                pass
    """,
    "in a coroutine": "async def stuck(): started.set(); time.sleep(5.6)",
    "in a coroutine that catches everything": """
    def spin():
        while True:
            started.set()
    async def stuck():
        while True:
            try:
                spin()
            except BaseException:
                pass
    """,
    "in a nested run": """
    def sleeper(): started.set(); time.sleep(5.6)
    def stuck(): ExecutionEngine(max_workers=2).run(graph_of(sleeper, sleeper))
    """,
}


@pytest.mark.parametrize("where", STUCK)
def test_operation_that_cannot_be_stopped_is_named_and_left_behind(where: str, tmp_path: Path) -> None:
    # Slow to be taken apart, so that the threads have every chance to come back meanwhile.
    slow = """
    class Slow:
        def __del__(self): time.sleep(0.5)
    sys.slow = Slow()
    started = threading.Event()
    """
    program = """
    handle = ExecutionEngine(max_workers=3).submit(graph_of(stuck))
    started.wait()
    print("end")
    sys.exit(3)
    """
    began = time.monotonic()
    code, lines, errors = run_program(tmp_path, START, slow, STUCK[where], program, options=STRICT)
    assert (code, lines) == (3, ["end"]), errors
    assert time.monotonic() - began < 30
    for line in errors.splitlines():
        assert line.startswith("execution-dataflow: the program ended while '"), errors
    assert "'stuck'" in errors


def test_stuck_threads_do_no_harm_without_stderr(tmp_path: Path) -> None:
    program = """
    started = threading.Event()
    def stuck(): started.set(); time.sleep(1000)
    handle = ExecutionEngine(max_workers=3).submit(graph_of(stuck))
    started.wait()
    sys.stderr = None
    sys.exit(3)
    """
    assert run_program(tmp_path, START, program, options=STRICT) == (3, [], "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a program on SIGTERM without asking it")
def test_sigterm_without_a_handler_ends_the_program(tmp_path: Path) -> None:
    stuck = "ExecutionEngine().run(graph_of(lambda: print('ready', flush=True), lambda: time.sleep(1000)))"
    program = Program(tmp_path, START, stuck)
    program.wait_for("ready")
    program.interrupt(signal.SIGTERM)
    assert program.finish()[0] == -signal.SIGTERM


def test_run_goes_on_without_the_threads_that_the_system_does_not_give(tmp_path: Path) -> None:
    # A limit of the system, or a program that is ending: CPython 3.12 starts none after the main thread is through.
    program = """
    start = threading.Thread.start
    def limited(thread):
        if thread.name.startswith("execution-dataflow") and threading.active_count() > LIMIT:
            raise RuntimeError("can't start new thread")
        start(thread)
    threading.Thread.start = limited
    LIMIT = 2
    engine = ExecutionEngine(max_workers=4)
    for _ in range(3):
        engine.run(graph_of(*[lambda: time.sleep(0.01)] * 8)).raise_if_failed()
        engine.submit(graph_of(*[lambda: time.sleep(0.01)] * 8)).result().raise_if_failed()
    LIMIT = 0
    other = ExecutionEngine(max_workers=4)
    engine.close()
    while threading.active_count() > 1:
        time.sleep(0.01)
    other.run(graph_of(lambda: 1, lambda: 2)).raise_if_failed()
    try:
        other.submit(graph_of(lambda: 1, lambda: 2))
    except RuntimeError as error:
        print(error)
    LIMIT = 10
    other.submit(graph_of(lambda: 1, lambda: 2)).result().raise_if_failed()
    """
    assert run_program(tmp_path, START, program, options=STRICT) == (0, ["can't start new thread"], "")

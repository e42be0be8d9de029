"""Ctrl-C stops a run once and for all, and leaves the process as it was (rule R9)."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path

import pytest
from interruption import AGAIN, LIMIT_SECONDS, START, check, interrupted
from programs import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no signals can be sent to a process there")

# Each defines `go`, which is interrupted, and calls ready() when it is under way.
SITUATIONS = {
    "python on the main thread": """
        def spin():
            ready()
            while True:
                pass
        go = lambda: ExecutionEngine(max_workers=1).run(graph_of(spin))
    """,
    "python on a worker while the main thread is parked": """
        main = threading.main_thread()
        def spin(context: ExecutionContext):
            global let_go
            if threading.current_thread() is main:
                return wait_for_worker()
            spins.set()
            threading.Timer(0.3, ready).start()
            while not context.cancelled:
                pass
            let_go = time.monotonic()
        spins = threading.Event()
        def wait_for_worker():
            if threading.current_thread() is main:
                spins.wait(30)
        def go():
            graph = graph_of(*[wait_for_worker] * 3, *[operation(spin)] * 4)
            first, last = graph.operations, graph.add(wait_for_worker)
            for each in first:
                graph.add_dependency(each, last)
            engine.run(graph)
    """,
    "python on both threads": """
        threading.Timer(0.3, ready).start()
        def spin(context: ExecutionContext):
            global let_go
            end = time.monotonic() + 2
            try:
                while time.monotonic() < end and not context.cancelled:
                    pass
            finally:
                let_go = time.monotonic()
        go = lambda: engine.run(graph_of(operation(spin), operation(spin)))
    """,
    "sleep on the main thread": """
        def nap():
            ready()
            time.sleep(1000)
        go = lambda: ExecutionEngine(max_workers=1).run(graph_of(nap, nap))
    """,
    "sleep on a worker while the main thread is parked": """
        main = threading.main_thread()
        def nap():
            global let_go
            if threading.current_thread() is main:
                time.sleep(0.05)
                return
            ready()
            time.sleep(0.6)
            let_go = time.monotonic()
        go = lambda: engine.run(graph_of(nap, nap, nap))
    """,
    "coroutines": """
        async def nap():
            ready()
            await asyncio.sleep(1000)
        go = lambda: engine.run(graph_of(*[nap] * 1))
    """,
    "many coroutines": """
        count = 0
        async def nap():
            global count
            count += 1
            if count == 500:
                ready()
            await asyncio.sleep(1000)
        go = lambda: engine.run(graph_of(*[nap] * 500))
    """,
    "coroutine that clears up": """
        async def nap():
            global let_go
            ready()
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(0.3)
                let_go = time.monotonic()
        go = lambda: engine.run(graph_of(nap))
    """,
    "wait for a retry": """
        class Later(Operation):
            def __init__(self):
                super().__init__(retry_policy=RetryPolicy(max_attempts=5, delay_seconds=1000))
            def execute(self, context):
                threading.Timer(0.2, ready).start()
                raise OSError("busy")
        go = lambda: engine.run(graph_of(Later()))
    """,
    "nested run": """
        def inner():
            ready()
            time.sleep(1000)
        def outer():
            engine.run(graph_of(inner))
        go = lambda: ExecutionEngine(max_workers=1).run(graph_of(outer, outer))
    """,
    "nested run of coroutines": """
        async def inner():
            ready()
            await asyncio.sleep(1000)
        def outer():
            engine.run(graph_of(inner))
        go = lambda: ExecutionEngine(max_workers=1).run(graph_of(outer, outer))
    """,
    "subscribed": """
        def nap():
            ready()
            time.sleep(1000)
        engine.subscribe(lambda event: None)
        go = lambda: engine.run(graph_of(nap), max_workers=1)
    """,
    "operation that catches KeyboardInterrupt and raises it again": """
        def nap():
            ready()
            try:
                time.sleep(1000)
            except KeyboardInterrupt:
                time.sleep(0.01)
                raise
        go = lambda: ExecutionEngine(max_workers=1).run(graph_of(nap))
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
    check(interrupted(Program(tmp_path, START, SITUATIONS[situation], drive, AGAIN)))


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_ends_wide_run_of_builtins(workers: int, tmp_path: Path) -> None:
    # Calls to builtins never reach the interpreter's own check for signals. The hash of a tuple takes about 1 ms.
    program = """
    numbers = tuple(range(100_000))
    graph = GraphDefinition()
    source = graph.add(lambda: numbers)
    for _ in range(10_000):
        graph.add(hash, obj=source)
    threading.Timer(0.3, ready).start()
    try:
        engine.run(graph, max_workers=WORKERS)
    except KeyboardInterrupt as error:
        report(error, left=sum(state.name == "CANCELLED" for state in error.result.states.values()))
    """
    found = interrupted(Program(tmp_path, START, program.replace("WORKERS", str(workers)), AGAIN))
    check(found)
    assert found["left"] > 0


def test_interrupt_during_result_of_submitted_run_leaves_the_run_alone(tmp_path: Path) -> None:
    # As with any future: the wait is interrupted. Who wants the run to end cancels it.
    program = """
    def nap(context: ExecutionContext):
        ready()
        while True:
            context.raise_if_cancelled()
            time.sleep(0.01)
    handle = engine.submit(graph_of(operation(nap)))
    began = time.monotonic()
    try:
        handle.result()
    except KeyboardInterrupt as error:
        ended = time.monotonic()
        kind, state = type(error).__name__, handle.state.value
    handle.cancel("Ctrl-C")
    result = handle.result()
    print(json.dumps({"kind": kind, "state": state, "ended": ended, "let_go": 0, "after": result.state.value,
                      "by": result.cancelled_by, "handler": signal.getsignal(signal.SIGINT) is handler}))
    """
    found = interrupted(Program(tmp_path, START, program, AGAIN))
    assert found.pop("seconds") < LIMIT_SECONDS
    assert found == {
        "kind": "KeyboardInterrupt",
        "state": "RUNNING",
        "after": "CANCELLED",
        "by": "Ctrl-C",
        "handler": True,
        "again": True,
    }


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_interrupt_of_asyncio_run_cancels_the_run(kind: str, tmp_path: Path) -> None:
    # asyncio.run turns Ctrl-C into the cancellation of its main task. It loses a signal that comes in the moment before
    # its loop goes to sleep: hence the pause.
    program = """
    threading.Timer(0.3, ready).start()
    def plain(context: ExecutionContext):
        while not context.cancelled:
            time.sleep(0.01)
    async def coroutine():
        await asyncio.sleep(1000)
    states = []
    async def main():
        graph = graph_of(operation(KIND))
        try:
            await engine.run_async(graph)
        except asyncio.CancelledError:
            states.append(sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("asyncio")))
            raise
    try:
        asyncio.run(main())
    except KeyboardInterrupt as error:
        print(json.dumps({"kind": type(error).__name__, "ended": time.monotonic(), "let_go": 0, "states": states,
                          "handler": signal.getsignal(signal.SIGINT) is handler}))
    """
    found = interrupted(Program(tmp_path, START, program.replace("KIND", kind), AGAIN))
    assert found.pop("seconds") < LIMIT_SECONDS
    assert found == {"kind": "KeyboardInterrupt", "states": [[]], "handler": True, "again": True}


def test_interrupt_that_nobody_catches_ends_the_program_as_it_always_does(tmp_path: Path) -> None:
    program = """
    def nap():
        ready()
        time.sleep(1000)
    ExecutionEngine(max_workers=1).run(graph_of(nap))
    """
    running = Program(tmp_path, START, program)
    running.wait_for("ready")
    running.interrupt()
    code, _, errors = running.finish()
    # CPython ends itself with the signal only for a KeyboardInterrupt that is of that very class.
    assert code == 1
    assert errors.splitlines()[-1].startswith("execution_dataflow.errors.RunInterrupted: run ")
    assert "was interrupted" in errors


@pytest.mark.parametrize("where", ["main", "worker"])
def test_exception_of_a_signal_handler_ends_the_run_and_is_passed_on(where: str, tmp_path: Path) -> None:
    program = """
    def leave(number, frame):
        sys.exit(7)
    signal.signal(signal.SIGTERM, leave)
    main = threading.main_thread()
    def nap(context: ExecutionContext):
        if WHERE == "worker" and threading.current_thread() is main:
            time.sleep(0.05)
            return
        threading.Timer(0.5, ready).start()
        while not context.cancelled:
            time.sleep(0.01)
    engine.run(graph_of(*[operation(nap)] * 4), max_workers=1 if WHERE == "main" else 2)
    """
    running = Program(tmp_path, START, program.replace("WHERE", repr(where)))
    running.wait_for("ready")
    running.interrupt(signal.SIGTERM)
    code, _, errors = running.finish()
    assert (code, errors) == (7, "")


def test_operation_that_raises_keyboard_interrupt_interrupts_the_run(tmp_path: Path) -> None:
    program = """
    def stop():
        raise KeyboardInterrupt("typed by an operation")
    ready()
    try:
        engine.run(graph_of(stop, lambda: time.sleep(0.01)))
    except KeyboardInterrupt as error:
        report(error)
    """
    code, lines, errors = Program(tmp_path, START, program, AGAIN).finish()
    assert (code, errors) == (0, "")
    assert json.loads(lines[1])["kind"] == "RunInterrupted"
    assert json.loads(lines[1])["state"] == "CANCELLED"


def test_signal_handler_that_does_not_raise_runs_during_the_run(tmp_path: Path) -> None:
    program = """
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    main = threading.main_thread()
    def wait():
        if threading.current_thread() is not main:
            ready()
            time.sleep(0.5)
        time.sleep(0.05)
    result = engine.run(graph_of(*[wait] * 4))
    print(json.dumps({"seen": len(seen), "successful": result.is_successful()}), flush=True)
    """
    assert interrupted(Program(tmp_path, START, program), signal.SIGUSR1) == {"seen": 1, "successful": True}


def test_second_interrupt_cuts_the_clearing_up_of_coroutines_short(tmp_path: Path) -> None:
    # Never needed, but it is what somebody means who types it.
    program = """
    async def nap():
        ready()
        try:
            await asyncio.sleep(1000)
        finally:
            print("clears up", flush=True)
            await asyncio.sleep(1000)
    try:
        engine.run(graph_of(nap))
    except KeyboardInterrupt as error:
        print(type(error).__name__, error.result.state.value, flush=True)
    """
    running = Program(tmp_path, START, program)
    running.wait_for("ready")
    running.interrupt()
    running.wait_for("clears up")
    running.interrupt()
    code, lines, errors = running.finish()
    assert (code, errors) == (0, "")
    assert lines[2:] == ["RunInterrupted CANCELLED"]


def test_interrupts_at_any_moment_leave_a_process_that_works(tmp_path: Path) -> None:
    # Also inside the engine's own lines of Python: failures, retries, events, the ends of runs.
    program = """
    class Fails(Operation):
        def __init__(self):
            super().__init__(retry_policy=RetryPolicy(max_attempts=2))
        def execute(self, context):
            raise OSError("busy")
    async def nap():
        await asyncio.sleep(0)
    graph = GraphDefinition()
    for _ in range(5):
        graph.add(Fails())
        graph.add(lambda: None)
        graph.add(nap)
    engine.subscribe(lambda event: None)
    kinds, done = {}, []
    def one_run():
        engine.run(graph, failure_policy="continue")
    # All threads are there from now on: to start one, threading waits in a way that an interrupt confuses.
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
    running = Program(tmp_path, START, program, AGAIN)
    running.wait_for("ready")
    pauses = random.Random(7)
    for _ in range(300):
        time.sleep(pauses.uniform(0.001, 0.012))
        running.interrupt()
        if running.process.poll() is not None:
            break
    time.sleep(0.5)
    running.interrupt(signal.SIGUSR1)
    code, lines, errors = running.finish()
    assert code == 0, errors
    assert json.loads(lines[-2])["RunInterrupted"] > 10
    assert json.loads(lines[-1]) == {"again": True}


def test_interrupts_at_any_moment_let_an_engine_close(tmp_path: Path) -> None:
    # With runs so short that most signals hit the lines before and after one.
    program = """
    done, raised, caught = [], [], 0
    graph = graph_of(lambda: None)
    def one_engine():
        with ExecutionEngine(max_workers=1) as engine:
            if SUBSCRIBED:
                engine.subscribe(lambda event: None)
            print("go", flush=True)
            while not done:
                engine.run(graph)
    interrupt_inside(one_engine, raised, done)
    ready()
    while not done:
        try:
            one_engine()
        except KeyboardInterrupt:
            caught += 1
    print(json.dumps({"caught": caught, "raised": len(raised)}), flush=True)
    """
    for subscribed in (False, True):
        running = Program(tmp_path, START, program.replace("SUBSCRIBED", str(subscribed)))
        running.wait_for("ready")
        pauses = random.Random(7)
        for _ in range(100):
            running.wait_for("go")
            time.sleep(pauses.uniform(0.0001, 0.003))
            running.interrupt()
        running.wait_for("go")
        running.interrupt(signal.SIGUSR1)
        code, lines, errors = running.finish()
        assert code == 0, errors
        counts = json.loads(lines[-1])
        assert counts["caught"] == counts["raised"] > 50

"""A fork takes the engine along but none of its threads: the child makes its own, the parent goes on undisturbed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")

# From 3.12 on CPython warns of every fork of a process with threads, rightly.
QUIET = ("-X", "dev", "-W", "error", "-W", "ignore::DeprecationWarning")

START = """
    import os, sys, threading, time, traceback
    from execution_dataflow import *

    def graph_of(*functions):
        graph = GraphDefinition()
        for function in functions:
            graph.add(function)
        return graph

    def forked(child):
        # Runs a function in a child and returns its exit code; printed lines come in the child's order.
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            code = 1
            try:
                child()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def works(engine):
        graph = GraphDefinition()
        for _ in range(8):
            graph.add(lambda: time.sleep(0.01))
        result = engine.run(graph)
        result.raise_if_failed()
        return len({timing.worker for timing in result.timings})

    engine = ExecutionEngine(max_workers=2)
"""


def check(folder: Path, program: str, *expected: str) -> None:
    assert run_program(folder, START, program, options=QUIET) == (0, list(expected), "")


def test_child_runs_graphs_on_threads_of_its_own(tmp_path: Path) -> None:
    program = """
    print(works(engine), flush=True)
    print(forked(lambda: print(works(engine))))
    print(works(engine))
    """
    check(tmp_path, program, "2", "2", "0", "2")


def test_child_submits_subscribes_and_awaits(tmp_path: Path) -> None:
    program = """
    import asyncio
    events = []
    async def nap():
        await asyncio.sleep(0.01)
    engine.subscribe(events.append)
    engine.run(graph_of(nap))
    def child():
        assert engine.submit(graph_of(nap, nap)).result(10).is_successful()
        assert asyncio.run(engine.run_async(graph_of(nap, nap))).is_successful()
        # Subscribers belong to the parent: its dispatcher thread is not here.
        before = len(events)
        with engine.subscribe(events.append):
            engine.run(graph_of(nap))
        assert len(events) > before
        engine.close()
    print(forked(child))
    count = len(events)
    engine.run(graph_of(nap))
    print(len(events) > count)
    """
    check(tmp_path, program, "0", "True")


def test_child_of_a_child_works(tmp_path: Path) -> None:
    program = """
    works(engine)
    def child():
        works(engine)
        assert forked(lambda: works(engine)) == 0
        works(engine)
    print(forked(child))
    """
    check(tmp_path, program, "0")


def test_run_of_the_parent_is_lost_in_the_child(tmp_path: Path) -> None:
    program = """
    go_on = threading.Event()
    handle = engine.submit(graph_of(*[lambda: go_on.wait()] * 2))
    def child():
        began = time.monotonic()
        assert handle.wait(5) and handle.wait() and handle.done()
        for ask in (handle.result, lambda: handle.state):
            try:
                ask()
            except RunLost as lost:
                print(lost)
        handle.cancel()
        assert "lost in a fork" in repr(handle)
        assert time.monotonic() - began < 2
        works(engine)
        engine.close()
    print(forked(child))
    go_on.set()
    print(handle.result().is_successful())
    """
    code, lines, errors = run_program(tmp_path, START, program, options=QUIET)
    assert (code, errors) == (0, "")
    assert all("belongs to the process that this one was forked from" in line for line in lines[:2])
    assert lines[2:] == ["0", "True"]


def test_finished_run_stays_readable_in_the_child(tmp_path: Path) -> None:
    program = """
    graph = GraphDefinition()
    answer = graph.add(lambda: 42)
    result = engine.run(graph)
    handle = engine.submit(graph)
    handle.wait()
    print(forked(lambda: print(result.get_output(answer), handle.result().get_output(answer))))
    """
    check(tmp_path, program, "42 42", "0")


@pytest.mark.parametrize("workers", [1, 2])
def test_operation_may_fork(workers: int, tmp_path: Path) -> None:
    program = """
    def fork():
        return forked(lambda: os.write(1, b"child\\n"))
    graph = GraphDefinition()
    codes = [graph.add(fork) for _ in range(4)]
    result = engine.run(graph, max_workers=WORKERS)
    print([result.get_output(code) for code in codes])
    works(engine)
    """
    check(tmp_path, program.replace("WORKERS", str(workers)), *["child"] * 4, "[0, 0, 0, 0]")


def test_operation_of_a_child_may_run_graphs(tmp_path: Path) -> None:
    program = """
    def fork():
        return forked(lambda: works(engine) and works(ExecutionEngine(max_workers=2)))
    graph = GraphDefinition()
    code = graph.add(fork)
    print(engine.run(graph).get_output(code))
    """
    check(tmp_path, program, "0")


def test_child_that_returns_from_the_operation_has_lost_the_run(tmp_path: Path) -> None:
    program = """
    parent = os.getpid()
    def fork():
        time.sleep(0.02)
        process = os.fork()
        return process and os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    graph = graph_of(lambda: time.sleep(0.05))
    code = graph.add(fork)
    later = graph.add(lambda code: print("once", flush=True), code=code)
    try:
        result = engine.run(graph, max_workers=1)
    except RunLost as lost:
        assert os.getpid() != parent
        works(engine)
        os._exit(5)
    assert os.getpid() == parent
    print(result.is_successful())
    """
    check(tmp_path, program, "once", "True")


def test_child_ends_cleanly_by_itself(tmp_path: Path) -> None:
    # Not by os._exit: through the end of the interpreter, with a run of the parent and one of its own under way.
    program = """
    started = threading.Semaphore(0)
    def nap():
        started.release()
        time.sleep(0.3)
    engine.subscribe(lambda event: None)
    handle = engine.submit(graph_of(nap, nap))
    started.acquire()
    process = os.fork()
    if process == 0:
        started = threading.Semaphore(0)
        own = engine.submit(graph_of(nap, nap))
        started.acquire()
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
    print(handle.result().is_successful())
    """
    check(tmp_path, program, "3", "True")


def test_multiprocessing_that_forks_uses_engines_in_its_children(tmp_path: Path) -> None:
    program = """
    import multiprocessing
    def child(number):
        graph = GraphDefinition()
        square = graph.add(lambda: number * number)
        return engine.run(graph).get_output(square), works(engine)
    works(engine)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(child, range(4)))
    works(engine)
    """
    check(tmp_path, program, "[(0, 2), (1, 2), (4, 2), (9, 2)]")


def test_fork_while_operations_run(tmp_path: Path) -> None:
    program = """
    def busy():
        for _ in range(50):
            sum(range(1000))
            time.sleep(0.0001)
    engine.subscribe(lambda event: None)
    handle = engine.submit(graph_of(*[busy] * 200))
    codes = set()
    while not handle.done():
        codes.add(forked(lambda: works(engine)))
    print(codes, handle.result().is_successful())
    """
    check(tmp_path, program, "{0} True")


def test_fork_waits_for_parts_of_the_package_that_are_being_imported(tmp_path: Path) -> None:
    # A child has the lock of an import, but not the thread that would release it.
    program = """
    import faulthandler
    begun = threading.Event()
    class SlowFinder:
        def find_spec(self, name, path, target=None):
            if name == "execution_dataflow.executors.event_loop":
                begun.set()
                time.sleep(0.3)
    sys.meta_path.insert(0, SlowFinder())
    async def nap():
        pass
    handle = engine.submit(graph_of(nap))
    begun.wait()
    def child():
        faulthandler.dump_traceback_later(25, exit=True)
        assert engine.submit(graph_of(nap)).result(20).is_successful()
    print(forked(child))
    print(handle.result().is_successful())
    """
    check(tmp_path, program, "0", "True")


def test_module_of_the_package_may_fork_as_it_is_imported(tmp_path: Path) -> None:
    program = """
    class ForkingFinder:
        def find_spec(self, name, path, target=None):
            if name == "execution_dataflow.executors.event_loop":
                print(forked(lambda: None), flush=True)
    sys.meta_path.insert(0, ForkingFinder())
    import execution_dataflow.executors.event_loop
    """
    check(tmp_path, program, "0")


def test_operations_may_start_programs(tmp_path: Path) -> None:
    program = """
    import subprocess
    def call():
        return subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout
    graph = GraphDefinition()
    calls = [graph.add(call) for _ in range(4)]
    result = engine.run(graph)
    print([int(result.get_output(call)) for call in calls])
    """
    check(tmp_path, program, "[42, 42, 42, 42]")


def test_coroutines_may_start_programs(tmp_path: Path) -> None:
    program = """
    import asyncio, subprocess
    async def call():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE)
        return (await process.communicate())[0].decode()
    graph = GraphDefinition()
    answer = graph.add(call)
    result = engine.run(graph)
    print(int(result.get_output(answer)), int(asyncio.run(engine.run_async(graph)).get_output(answer)))
    """
    check(tmp_path, program, "42 42")

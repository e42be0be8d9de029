"""Workers times the threads of native libraries stay at the number of CPUs: with numpy's BLAS and with OpenMP."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from execution_dataflow import ExecutionEngine, GraphDefinition, RunInterrupted
from execution_dataflow.cpus import usable_cpus

SHARE_OF_TWO = max(1, usable_cpus() // 2)
MANY = 2 * usable_cpus() + 1
"""More threads than any share: what the libraries have before a run."""


def threads_of(api: str) -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == api}


def blas_threads() -> set[int]:
    return threads_of("blas")


def set_for_good(threads: int) -> None:
    """Set what the libraries have by themselves: no part of the program goes on to hold a limit."""
    for library in ThreadpoolController().lib_controllers:
        library.set_num_threads(threads)
        getattr(library, "clear_controlling_thread", lambda: None)()


@pytest.fixture(autouse=True)
def many_threads() -> Iterator[None]:
    assert np.ones((2, 2)) @ np.ones(2) is not None
    if not blas_threads():
        pytest.skip("this numpy has no BLAS that threadpoolctl knows")
    before = {library["num_threads"] for library in threadpool_info()}
    set_for_good(MANY)
    assert blas_threads() == {MANY}
    yield
    assert blas_threads() == {MANY}, "the libraries did not get back what they had"
    set_for_good(max(before))


@pytest.fixture
def engine() -> Iterator[ExecutionEngine]:
    with ExecutionEngine(max_workers=2) as engine:
        yield engine


def side_by_side(look: Callable[[], object], count: int = 2) -> GraphDefinition:
    """Return a graph whose operations look at something while all of them are running."""
    together, looked = threading.Barrier(count), threading.Barrier(count)

    def meet() -> object:
        together.wait(30)
        found = look()
        looked.wait(30)
        return found

    graph = GraphDefinition()
    for _ in range(count):
        graph.add(meet)
    return graph


def values(graph: GraphDefinition, engine: ExecutionEngine) -> list[Any]:
    result = engine.run(graph)
    result.raise_if_failed()
    return [value for outputs in result.outputs().values() for value in outputs.values()]


def test_two_workers_share_the_cpus(engine: ExecutionEngine) -> None:
    assert values(side_by_side(blas_threads), engine) == [{SHARE_OF_TWO}] * 2
    assert blas_threads() == {MANY}


def test_every_run_of_a_reused_engine_is_limited(engine: ExecutionEngine) -> None:
    for _ in range(20):
        assert values(side_by_side(blas_threads), engine) == [{SHARE_OF_TWO}] * 2
        assert blas_threads() == {MANY}


def test_one_worker_has_what_the_libraries_have(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    graph.add(blas_threads)
    graph.add(blas_threads)
    with ExecutionEngine(max_workers=1) as alone:
        assert values(graph, alone) == [{MANY}] * 2


def test_a_chain_keeps_one_worker_busy_and_is_not_limited(engine: ExecutionEngine) -> None:
    graph = GraphDefinition()
    last = graph.add(lambda: [blas_threads()])
    for _ in range(20):
        last = graph.add(lambda seen: [*seen, blas_threads()], seen=last)
    assert engine.run(graph).get_output(last) == [{MANY}] * 21


def test_submitted_runs_that_work_side_by_side_share_the_cpus(engine: ExecutionEngine) -> None:
    together, looked = threading.Barrier(2), threading.Barrier(2)

    def meet() -> set[int]:
        together.wait(30)
        found = blas_threads()
        looked.wait(30)
        return found

    graph = GraphDefinition()
    look = graph.add(meet)
    handles = [engine.submit(graph) for _ in range(2)]
    assert [handle.result().get_output(look) for handle in handles] == [{SHARE_OF_TWO}] * 2
    assert blas_threads() == {MANY}


def test_the_limit_stays_until_the_last_of_several_runs_has_ended(engine: ExecutionEngine) -> None:
    first_is_limited, second_has_ended = threading.Event(), threading.Event()

    def hold() -> set[int]:
        first_is_limited.set()
        assert second_has_ended.wait(30)
        return blas_threads()

    long = side_by_side(hold)
    found: list[list[object]] = []
    thread = threading.Thread(target=lambda: found.append(values(long, engine)))
    thread.start()
    assert first_is_limited.wait(30)
    with ExecutionEngine(max_workers=3) as other:
        short = side_by_side(blas_threads)
        short.add(lambda: None)  # a third worker, since the only one of the pool is busy with the other run
        values(short, other)
    assert blas_threads() == {SHARE_OF_TWO}
    second_has_ended.set()
    thread.join(30)
    assert found == [[{SHARE_OF_TWO}] * 2]


def test_a_nested_run_leaves_the_limit_of_the_outer_one(engine: ExecutionEngine) -> None:
    inner = GraphDefinition()
    inner.add(blas_threads)

    def nest() -> list[object]:
        return [*values(inner, engine), blas_threads()]

    assert values(side_by_side(nest), engine) == [[{SHARE_OF_TWO}] * 2] * 2


def test_the_libraries_get_back_what_they_had_after_a_failure(engine: ExecutionEngine) -> None:
    def fail() -> None:
        raise ValueError("no")

    assert not engine.run(side_by_side(fail)).is_successful()
    assert blas_threads() == {MANY}


def test_the_libraries_get_back_what_they_had_after_an_interrupt(engine: ExecutionEngine) -> None:
    def interrupt() -> None:
        assert blas_threads() == {SHARE_OF_TWO}
        raise KeyboardInterrupt

    with pytest.raises(RunInterrupted):
        engine.run(side_by_side(interrupt))
    assert blas_threads() == {MANY}


def test_unlimited_leaves_the_libraries_alone() -> None:
    with ExecutionEngine(max_workers=2, native_threads="unlimited") as engine:
        assert values(side_by_side(blas_threads), engine) == [{MANY}] * 2


@pytest.mark.parametrize("threads", [1, 3, MANY + 2])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_number_holds_whatever_the_workers(threads: int, workers: int) -> None:
    with ExecutionEngine(max_workers=workers, native_threads=threads) as engine:
        assert values(side_by_side(blas_threads, workers), engine) == [{threads}] * workers
        graph = GraphDefinition()
        look = graph.add(blas_threads)
        assert engine.submit(graph).result().get_output(look) == {threads}


def test_a_library_that_was_limited_before_is_not_given_more(engine: ExecutionEngine) -> None:
    set_for_good(1)
    assert values(side_by_side(blas_threads), engine) == [{1}] * 2
    assert blas_threads() == {1}
    set_for_good(MANY)


def test_a_limit_that_the_program_holds_itself_stands(engine: ExecutionEngine) -> None:
    with threadpool_limits(limits=MANY - 1):
        assert values(side_by_side(blas_threads), engine) == [{MANY - 1}] * 2
    assert blas_threads() == {MANY}


def test_an_operation_may_set_its_own_limit(engine: ExecutionEngine) -> None:
    alone = threading.Lock()

    def limit() -> tuple[set[int], set[int]]:
        with alone, threadpool_limits(limits=MANY + 3):
            inside = blas_threads()
        return inside, blas_threads()

    assert ({MANY + 3}, {SHARE_OF_TWO}) in values(side_by_side(limit), engine)
    assert blas_threads() == {MANY}


@pytest.mark.parametrize("wrong", ["many", 0, -1, True, 1.5, None])
def test_what_is_no_number_of_threads_is_refused(wrong: object) -> None:
    with pytest.raises((TypeError, ValueError), match="native_threads"):
        ExecutionEngine(native_threads=wrong)  # type: ignore[arg-type]


def test_openmp_is_limited_on_every_thread_that_works(engine: ExecutionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        openmp = ctypes.CDLL("libgomp.so.1")
    except OSError:
        pytest.skip("there is no libgomp here")
    # Libraries come with modules: this is how the engine knows when to look for them.
    monkeypatch.setitem(sys.modules, "brings_openmp", ModuleType("brings_openmp"))
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(MANY)
    try:
        meet, meet_again = threading.Barrier(2), threading.Barrier(2)

        def work() -> None:
            meet.wait(30)
            time.sleep(0.02)  # the calling thread learns of the limit within some milliseconds, between two operations

        def look(_first: object, _second: object) -> tuple[str, int]:
            meet_again.wait(30)
            return threading.current_thread().name, openmp.omp_get_max_threads()

        graph = GraphDefinition()
        first, second = graph.add(work), graph.add(work)
        for _ in range(2):
            graph.add(look, _first=first, _second=second)
        found = values(graph, engine)
        assert len({name for name, _ in found}) == 2
        assert [threads for _, threads in found] == [SHARE_OF_TWO] * 2
        assert openmp.omp_get_max_threads() == MANY
        # A worker thread that goes on alone is not limited any more.
        alone = GraphDefinition()
        last = alone.add(lambda: int(openmp.omp_get_max_threads()))
        assert engine.submit(alone).result().get_output(last) > SHARE_OF_TWO or usable_cpus() == SHARE_OF_TWO
    finally:
        openmp.omp_set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_gets_back_what_there_was(engine: ExecutionEngine) -> None:
    def fork() -> int:
        child = os.fork()
        if child == 0:
            os._exit(0 if blas_threads() == {MANY} else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert values(side_by_side(fork), engine) == [0, 0]


def test_a_run_without_arrays_does_not_import_threadpoolctl() -> None:
    program = """
        import sys, threading
        from execution_dataflow import ExecutionEngine, GraphDefinition
        meet = threading.Barrier(2)
        graph = GraphDefinition()
        graph.add(lambda: meet.wait(30))
        graph.add(lambda: meet.wait(30))
        ExecutionEngine(max_workers=2).run(graph).raise_if_failed()
        assert "threadpoolctl" not in sys.modules
        assert "numpy" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)

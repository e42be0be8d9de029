"""Worker processes that start in spite of what the program has changed, or do not start and fail the run by name."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import LIMIT_SECONDS, close_in_time
from programs import run_program

from execution_dataflow import ExecutionEngine, GraphDefinition, WorkerStartError

MAIN = """
from execution_dataflow import ExecutionEngine, GraphDefinition
import sys
engine = ExecutionEngine(max_workers=2, executor="process")
"""


@pytest.fixture
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=1, executor="process")
    yield engine
    close_in_time(engine.close)


def test_workers_that_cannot_start_fail_the_run_by_name(tmp_path: Path) -> None:
    program = """
    import execution_dataflow.executors.processes.pool
    sys.path[:] = []
    graph = GraphDefinition()
    graph.add(lambda: 1)
    error = engine.run(graph).first_error
    print(type(error.exception).__name__)
    """
    code, lines, errors = run_program(tmp_path, MAIN, program)
    assert (code, lines) == (0, ["WorkerStartError"])
    assert "ModuleNotFoundError" in errors


def test_arguments_of_the_program_may_be_paths(engine: ExecutionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["program", Path("rows.csv")])
    graph = GraphDefinition()

    def arguments() -> list[str]:
        return sys.argv

    added = graph.add(arguments)
    result = engine.submit(graph).result(timeout=LIMIT_SECONDS)
    assert result.get_output(added) == ["program", "rows.csv"]


def test_start_that_goes_wrong_in_any_way_fails_the_run(
    engine: ExecutionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nameless:
        def __str__(self) -> str:
            raise ValueError("it has no text")

    monkeypatch.setattr(sys, "argv", ["program", Nameless()])
    graph = GraphDefinition()
    graph.add(lambda: 1)
    result = engine.submit(graph).result(timeout=LIMIT_SECONDS)
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, WorkerStartError)
    assert str(result.first_error.exception) == "no worker process can be started: ValueError: it has no text"


@pytest.mark.skipif(sys.platform == "win32", reason="programs of POSIX")
def test_process_that_ends_before_it_reads_how_it_is_to_start_holds_up_nothing(
    engine: ExecutionEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    monkeypatch.setattr(sys, "argv", ["program", "x" * (4 << 20)])
    graph = GraphDefinition()
    graph.add(lambda: 1)
    result = engine.submit(graph).result(timeout=LIMIT_SECONDS)
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, WorkerStartError)
    assert "exit code 1" in str(result.first_error.exception)


PROGRAM = """
from execution_dataflow import ExecutionEngine, GraphDefinition, operation
import multiprocessing
import runpy
import sys

class Row:
    pass

def plus_one(x: int) -> int:
    return x + 1

@operation(executor="process")
def made(x: int) -> Row:
    row = Row()
    row.number = plus_one(x)
    return row

def work() -> None:
    graph = GraphDefinition()
    node = graph.add(made, x=1)
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    result.raise_if_failed()
    row = result.get_output(node)
    print(__name__, type(row) is Row, row.number, flush=True)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_what_a_child_of_multiprocessing_has_of_its_program_is_sent(tmp_path: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no such start")
    start = f"""
    if __name__ == "__main__":
        child = multiprocessing.get_context("{method}").Process(target=work)
        child.start()
        child.join()
        sys.exit(child.exitcode)
    """
    assert run_program(tmp_path, PROGRAM, start) == (0, ["__mp_main__ True 2"], "")


def test_what_a_program_has_that_another_runs_by_its_path_is_sent(tmp_path: Path) -> None:
    start = """
    if __name__ == "__main__":
        runpy.run_path(__file__)
    elif __name__ == "<run_path>":
        work()
    """
    assert run_program(tmp_path, PROGRAM, start) == (0, ["<run_path> True 2"], "")

"""Worker processes that are killed, parents that end, forks, interrupts and unguarded scripts: with real signals."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from living import is_running, workers_of
from patience import LIMIT_SECONDS, close_in_time, eventually
from programs import Program, run_program

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    OperationState,
    RetryPolicy,
    RunState,
    WorkerDied,
    operation,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
KILLS = 100


@pytest.fixture
def engine() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor="process")
    yield engine
    close_in_time(engine.close)


@posix
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_kills_at_random_moments_lose_nothing(engine: ExecutionEngine, soak_scale: int) -> None:
    """R10."""
    kills = KILLS * soak_scale
    policy = RetryPolicy(max_attempts=kills + 1, retry_on=WorkerDied)

    @operation(retry_policy=policy)
    def square(x: int) -> int:
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            pass
        return x * x

    @operation(retry_policy=policy)
    def step(x: int) -> int:
        return x % 1000 + 1

    @operation(retry_policy=policy)
    def total(squares: list[int]) -> int:
        return sum(squares)

    items = 20 * kills
    graph = GraphDefinition("killed")
    chain = [graph.add(square, x=3)]
    for _ in range(20):
        chain.append(graph.add(step, x=chain[-1]))
    whole = graph.add(total, squares=graph.map(square, over={"x": list(range(items))}))
    handle = engine.submit(graph)
    chance = random.Random(4)
    killed: list[int] = []
    while len(killed) < kills and not handle.wait(chance.random() * 0.05):
        candidates = workers_of(engine)
        if candidates:
            pid = chance.choice(candidates)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, chance.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM]))
                killed.append(pid)
    result = handle.result(timeout=LIMIT_SECONDS * 10)
    assert result.get_error_message() is None
    assert result.get_output(whole) == sum(x * x for x in range(items))
    expected = 9
    for _ in chain[1:]:
        expected = expected % 1000 + 1
    assert result.get_output(chain[-1]) == expected
    assert len(killed) > kills // 2, "the run was over too soon for this test to mean much"
    # It goes on as if nothing had been.
    after = GraphDefinition("after")
    squares = after.map(square, over={"x": list(range(100))})
    assert engine.run(after).get_output(squares) == [x * x for x in range(100)]
    last = workers_of(engine)
    close_in_time(engine.close)
    assert eventually(lambda: not any(map(is_running, [*killed, *last])))


@posix
def test_what_waited_behind_a_killed_operation_runs_once(engine: ExecutionEngine, tmp_path: Path) -> None:
    """R10: not lost, and not run again where it had finished."""

    def leave_mark(x: int) -> int:
        with open(tmp_path / str(x), "a") as file:
            file.write("run\n")
        if x == 40 and (tmp_path / "40").read_text().count("run") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    graph = GraphDefinition("marks")
    added = graph.map(operation(retry_policy=RetryPolicy(max_attempts=2))(leave_mark), over={"x": list(range(200))})
    for _ in range(3):
        for path in tmp_path.iterdir():
            path.unlink()
        assert engine.run(graph).get_output(added) == list(range(200))
        runs = {path.name: path.read_text().count("run") for path in tmp_path.iterdir()}
        assert runs == {str(x): 2 if x == 40 else 1 for x in range(200)}


@posix
def test_death_of_idle_workers_harms_nobody(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("idle")
    added = graph.map(lambda x: x, over={"x": [1, 2, 3]})
    engine.run(graph).raise_if_failed()
    before = workers_of(engine)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not set(before) & set(workers_of(engine)))
    assert engine.run(graph).get_output(added) == [1, 2, 3]


@posix
def test_worker_whose_child_keeps_its_connection_is_missed_all_the_same(engine: ExecutionEngine) -> None:
    def leave_child() -> None:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        os._exit(5)

    graph = GraphDefinition("child")
    graph.add(leave_child)
    began = time.monotonic()
    error = engine.run(graph).first_error
    assert error is not None
    assert isinstance(error.exception, WorkerDied)
    assert error.exception.exit_code == 5
    assert time.monotonic() - began < 2.5


def test_cancelled_run_ends_its_operations_after_the_grace(engine: ExecutionEngine, tmp_path: Path) -> None:
    def hang(mark: str) -> None:
        (tmp_path / mark).touch()
        time.sleep(600)

    graph = GraphDefinition("hanging")
    hanging = [graph.add(hang, mark=str(index)) for index in range(6)]
    handle = engine.submit(graph)
    assert eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    handle.cancel("enough")
    result = handle.result(timeout=LIMIT_SECONDS)
    assert result.state is RunState.CANCELLED
    assert {result.get_state(one) for one in hanging} == {OperationState.CANCELLED}
    assert len(list(tmp_path.iterdir())) == 2


def test_operation_sees_that_its_run_was_cancelled(engine: ExecutionEngine, tmp_path: Path) -> None:
    def look(context: ExecutionContext) -> None:
        (tmp_path / "begun").touch()
        while not context.cancelled:
            time.sleep(0.005)
        (tmp_path / "seen").touch()
        context.raise_if_cancelled()

    graph = GraphDefinition("looking")
    looking = graph.add(look)
    handle = engine.submit(graph)
    assert eventually((tmp_path / "begun").exists)
    before = workers_of(engine)
    handle.cancel()
    result = handle.result(timeout=LIMIT_SECONDS)
    assert result.get_state(looking) is OperationState.CANCELLED
    assert (tmp_path / "seen").exists()
    assert workers_of(engine) == before


def test_nothing_new_is_sent_after_a_failure(engine: ExecutionEngine, tmp_path: Path) -> None:
    """R4."""

    def work(x: int) -> None:
        (tmp_path / str(x)).touch()
        time.sleep(0.05)
        if x == 0:
            raise ValueError("stop")

    graph = GraphDefinition("failing")
    nodes = [graph.add(work, x=index) for index in range(100)]
    result = engine.run(graph)
    assert result.get_state(nodes[0]) is OperationState.FAILED
    assert len(list(tmp_path.iterdir())) < 20
    assert result.get_state(nodes[-1]) is OperationState.CANCELLED


def test_runs_at_the_same_time_share_the_processes(engine: ExecutionEngine) -> None:
    def run(base: int, answers: dict[int, object]) -> None:
        graph = GraphDefinition(str(base))
        added = graph.map(lambda x: x + base, over={"x": list(range(200))})
        answers[base] = engine.run(graph).get_output(added)

    answers: dict[int, object] = {}
    callers = [threading.Thread(target=run, args=(base, answers)) for base in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(LIMIT_SECONDS)
    assert answers == {base: [x + base for x in range(200)] for base in range(6)}
    assert len(workers_of(engine)) <= 2


def test_large_values_pass_whole(engine: ExecutionEngine) -> None:
    import numpy as np

    values = np.arange(3_000_000, dtype=np.float64)
    text = "x" * 3_000_000
    graph = GraphDefinition("large")
    doubled = graph.map(lambda x, values, text: (values * x, text), over={"x": [1, 2, 3]}, values=values, text=text)
    for factor, (array, same) in enumerate(engine.run(graph).get_output(doubled), 1):
        assert np.array_equal(array, values * factor)
        assert same == text


# ---------------------------------------------------------------- whole programs

BRIEF = """
    from execution_dataflow import Operation, InputPort, OutputPort, GraphDefinition, ExecutionEngine, ExecutionContext

    print("main runs")

    class DataLoadOperation(Operation):
        def __init__(self, source_path: str):
            super().__init__()
            self.source_path = source_path
            self.add_output_port("loaded_data", OutputPort(data_type=bytes))

        def execute(self, context):
            print(f"Loading data from {self.source_path}...")
            data = f"Content from {self.source_path}".encode('utf-8')
            self.set_output("loaded_data", data)
            print("Data loaded.")

    class DataTransformOperation(Operation):
        def __init__(self):
            super().__init__()
            self.add_input_port("raw_data", InputPort(data_type=bytes))
            self.add_output_port("transformed_data", OutputPort(data_type=str))

        def execute(self, context):
            raw_data = self.get_input("raw_data")
            print(f"Transforming data: {raw_data[:20]}...")
            transformed_data = raw_data.decode('utf-8').upper()
            self.set_output("transformed_data", transformed_data)
            print("Data transformed.")

    load_op = DataLoadOperation(source_path="s3://my-bucket/input.csv")
    transform_op = DataTransformOperation()
    graph = GraphDefinition()
    graph.add_operation(load_op)
    graph.add_operation(transform_op)
    graph.connect(
        source_operation=load_op,
        source_port_name="loaded_data",
        target_operation=transform_op,
        target_port_name="raw_data"
    )
    context = ExecutionContext(run_id="workflow-123", log_level="INFO")
    engine = ExecutionEngine(executor="process")
    result = engine.run(graph, context)
    if result.is_successful():
        print("Dataflow executed successfully.")
        final_output = result.get_output(transform_op, "transformed_data")
        print(f"Final transformed data: {final_output}")
    else:
        print(f"Dataflow failed: {result.get_error_message()}")
"""


def test_unguarded_script_of_the_brief_runs_once(tmp_path: Path) -> None:
    code, lines, errors = run_program(tmp_path, BRIEF)
    assert (code, errors) == (0, "")
    # Two processes write side by side.
    assert sorted(lines) == sorted(
        [
            "Loading data from s3://my-bucket/input.csv...",
            "Data loaded.",
            "Transforming data: b'Content from s3://my'...",
            "Data transformed.",
            "main runs",
            "Dataflow executed successfully.",
            "Final transformed data: CONTENT FROM S3://MY-BUCKET/INPUT.CSV",
        ]
    )


MAIN = """
    import os, signal, sys, threading, time
    from execution_dataflow import *

    class Busy(Exception):
        def __init__(self, code):
            super().__init__(f"code {code}")
            self.code = code

    @operation(retry_policy=RetryPolicy(max_attempts=2, retry_on=Busy))
    def fragile(x: int, context: ExecutionContext) -> int:
        if context.attempt == 1:
            raise Busy(503)
        return helper(x)

    def helper(x):
        return x * OFFSET

    OFFSET = 7

    @operation(executor="process")
    def wait(path: str) -> None:
        open(path, "w").write(str(os.getpid()))
        time.sleep(600)

    engine = ExecutionEngine(executor="process", max_workers=2)
"""


def test_functions_classes_and_globals_of_main_are_sent(tmp_path: Path) -> None:
    program = """
    graph = GraphDefinition()
    out = graph.add(fragile, x=graph.add(fragile, x=1))
    print(engine.run(graph).get_output(out))
    """
    assert run_program(tmp_path, MAIN, program, options=("-X", "dev", "-W", "error")) == (0, ["49"], "")


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_workers_end_with_their_parent(tmp_path: Path, number: int) -> None:
    program = """
    graph = GraphDefinition()
    graph.add(wait, path="first")
    graph.add(wait, path="second")
    handle = engine.submit(graph)
    while not all(os.path.exists(path) and os.path.getsize(path) for path in ("first", "second")):
        time.sleep(0.01)
    print("waiting", flush=True)
    handle.result()
    """
    running = Program(tmp_path, MAIN, program)
    running.wait_for("waiting")
    pids = [int((tmp_path / name).read_text()) for name in ("first", "second")]
    assert all(map(is_running, pids))
    running.interrupt(number)
    code, _, _ = running.finish()
    assert code == -number
    assert eventually(lambda: not any(map(is_running, pids)))


@posix
def test_interrupt_ends_the_run_and_leaves_no_process(tmp_path: Path) -> None:
    """R9: the workers themselves ignore Ctrl-C, which a terminal sends to all."""
    program = """
    graph = GraphDefinition()
    graph.add(wait, path="first")
    threading.Timer(0.0, lambda: None).start()
    def interrupt():
        while not (os.path.exists("first") and os.path.getsize("first")):
            time.sleep(0.01)
        os.kill(int(open("first").read()), signal.SIGINT)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    try:
        engine.run(graph)
    except RunInterrupted as interrupted:
        print(interrupted.result.state.name, interrupted.result.get_state("wait").name)
    print(open("first").read())
    """
    code, lines, errors = run_program(tmp_path, MAIN, program)
    assert (code, errors, lines[0]) == (0, "", "CANCELLED CANCELLED")
    assert eventually(lambda: not is_running(int(lines[1])))


@posix
def test_interrupt_gives_processes_the_grace_of_their_engine(tmp_path: Path) -> None:
    """R9: what ignores every signal is killed when that is over, and not before."""
    program = """
    @operation(executor="process")
    def ignore(path: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        open(path, "w").write(str(os.getpid()))
        while True:
            try:
                time.sleep(600)
            except BaseException:
                pass

    engine = ExecutionEngine(executor="process", max_workers=1, grace_seconds=1.6)
    graph = GraphDefinition()
    graph.add(ignore, path="first")
    moments = []
    def interrupt():
        while not (os.path.exists("first") and os.path.getsize("first")):
            time.sleep(0.01)
        moments.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        engine.run(graph)
    except RunInterrupted as interrupted:
        print(interrupted.result.state.name, interrupted.result.get_state("ignore").name)
    print(1.6 <= time.monotonic() - moments[0] < 5)
    print(open("first").read())
    """
    code, lines, errors = run_program(tmp_path, MAIN, program)
    assert (code, errors, lines[:2]) == (0, "", ["CANCELLED CANCELLED", "True"])
    assert eventually(lambda: not is_running(int(lines[2])))


def test_program_that_closes_nothing_leaves_no_process(tmp_path: Path) -> None:
    program = """
    graph = GraphDefinition()
    out = graph.map(lambda x: os.getpid(), over={"x": list(range(8))})
    print(*set(engine.run(graph).get_output(out)), flush=True)
    """
    code, lines, errors = run_program(tmp_path, MAIN, program, options=("-X", "dev"))
    assert (code, errors) == (0, "")
    assert eventually(lambda: not any(is_running(int(pid)) for pid in lines[0].split()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_child_of_a_fork_has_processes_of_its_own(tmp_path: Path) -> None:
    program = """
    graph = GraphDefinition()
    out = graph.add(lambda: os.getppid())
    print(engine.run(graph).get_output(out) == os.getpid(), flush=True)
    child = os.fork()
    if child == 0:
        print(engine.run(graph).get_output(out) == os.getpid(), flush=True)
        engine.close()
        os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
    print(engine.run(graph).get_output(out) == os.getpid())
    """
    quiet = ("-W", "ignore::DeprecationWarning")
    assert run_program(tmp_path, MAIN, program, options=quiet) == (0, ["True", "True", "0", "True"], "")


def test_modules_next_to_the_script_and_the_working_directory_are_found(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from execution_dataflow import operation\nVALUE = 5\n"
                                        "@operation\ndef five() -> int:\n    return VALUE\n")  # fmt: skip
    program = """
    import beside
    graph = GraphDefinition()
    five = graph.add(beside.five)
    where = graph.add(lambda: os.getcwd())
    os.mkdir("below")
    os.chdir("below")
    result = engine.run(graph)
    print(result.get_output(five), result.get_output(where) == os.getcwd())
    """
    assert run_program(tmp_path, MAIN, program) == (0, ["5 True"], "")


@posix
def test_child_of_a_fork_that_comes_to_the_end_of_its_operation_takes_no_part_in_the_work(
    engine: ExecutionEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    def forks() -> int:
        child = os.fork()
        if child == 0:
            raise ValueError("the child has forgotten to leave")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    graph = GraphDefinition("forks")
    forked = graph.add(forks)
    assert engine.submit(graph).result(timeout=LIMIT_SECONDS).get_output(forked) == 1
    squares = GraphDefinition("squares")
    added = squares.map(lambda x: x * x, over={"x": list(range(20))})
    result = engine.submit(squares).result(timeout=LIMIT_SECONDS)
    assert result.get_output(added) == [x * x for x in range(20)]
    assert "forks has forked its worker process" in capfd.readouterr().err

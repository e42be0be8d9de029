"""Operations in worker processes: results, errors and contexts are those of the same graph on threads."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    MapError,
    Operation,
    OperationState,
    OutputPort,
    RemoteTraceback,
    RetryPolicy,
    TransferError,
    WorkerDied,
    operation,
)


@pytest.fixture(scope="module")
def processes() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor="process")
    yield engine
    close_in_time(engine.close)


@pytest.fixture(scope="module")
def threads() -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2)
    yield engine
    close_in_time(engine.close)


def one(function: Any, **inputs: Any) -> GraphDefinition:
    graph = GraphDefinition("one")
    graph.add(function, **inputs)
    return graph


def value_of(engine: ExecutionEngine, function: Any, **inputs: Any) -> Any:
    graph = GraphDefinition("one")
    added = graph.add(function, **inputs)
    result = engine.run(graph, ExecutionContext(seed=7))
    result.raise_if_failed()
    return result.get_output(added)


def error_of(engine: ExecutionEngine, function: Any, **inputs: Any) -> tuple[BaseException, ExecutionResult]:
    result = engine.run(one(function, **inputs))
    assert result.first_error is not None
    return result.first_error.exception, result


def test_operation_runs_in_another_process(processes: ExecutionEngine) -> None:
    assert value_of(processes, lambda: os.getpid()) != os.getpid()


def test_processes_are_kept_for_the_next_run(processes: ExecutionEngine) -> None:
    first = {value_of(processes, lambda: os.getpid()) for _ in range(5)}
    again = {value_of(processes, lambda: os.getpid()) for _ in range(5)}
    assert len(first | again) <= 2


def test_engine_default_gives_way_to_what_an_operation_says(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    @operation(executor="thread")
    def here() -> int:
        return os.getpid()

    @operation(executor="inline")
    def inline() -> int:
        return os.getpid()

    @operation(executor="process")
    def there() -> int:
        return os.getpid()

    class OnClass(Operation):
        executor = "process"
        pid = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.pid = os.getpid()

    assert value_of(processes, here) == value_of(processes, inline) == os.getpid()
    assert value_of(threads, there) != os.getpid()
    assert value_of(threads, OnClass()) != os.getpid()
    assert value_of(threads, OnClass(executor="thread")) == os.getpid()


def test_coroutines_stay_on_the_event_loop(processes: ExecutionEngine) -> None:
    async def where() -> int:
        return os.getpid()

    assert value_of(processes, where) == os.getpid()


def test_inline_engine_runs_everything_on_the_calling_thread() -> None:
    graph = GraphDefinition("inline")
    calls = [graph.add(lambda: threading.get_ident()) for _ in range(20)]
    with ExecutionEngine(executor="inline", max_workers=4) as engine:
        result = engine.run(graph)
        assert {result.get_output(call) for call in calls} == {threading.get_ident()}
        assert engine.max_workers == 1


def test_chain_of_classes_functions_and_closures_gives_what_threads_give(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    factor = 3

    class Scale(Operation):
        raw = InputPort(list[int])
        scaled = OutputPort(list[int])
        count = OutputPort(int, optional=True)

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

        def execute(self, context: Any) -> None:
            self.scaled = [value * self.by for value in self.raw]

    class Total(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("values", InputPort(data_type=list))
            self.add_input_port("offset", InputPort(int, default=5))
            self.add_output_port("total", OutputPort(data_type=int))

        def execute(self, context: Any) -> None:
            self.set_output("total", sum(self.get_input("values")) + self.get_input("offset"))

    graph = GraphDefinition("chain")
    rows = graph.add(lambda: [1, 2, 3])
    scaled = graph.add(Scale(2), raw=rows)
    total = graph.add(Total(), values=scaled["scaled"])
    tripled = graph.add(lambda x: x * factor, x=total)
    skipped = graph.add(lambda x: x, x=scaled["count"])
    by_threads, by_processes = threads.run(graph), processes.run(graph)
    assert by_processes.get_output(tripled) == by_threads.get_output(tripled) == 51
    assert by_processes.states == by_threads.states
    assert by_processes.get_state(skipped) is OperationState.SKIPPED


def test_array_that_may_not_be_written_may_not_be_written_there(
    processes: ExecutionEngine, threads: ExecutionEngine
) -> None:
    def make() -> np.ndarray:
        return np.arange(4.0)

    def write(values: np.ndarray) -> float:
        values[0] = 9.0
        return float(values.sum())

    class WriteAllowed(Operation):
        values = InputPort(np.ndarray, mutable=True)
        total = OutputPort(float)

        def execute(self, context: Any) -> None:
            self.values[0] = 9.0
            self.total = float(self.values.sum())

    for engine in (threads, processes):
        graph = GraphDefinition("arrays")
        made = graph.add(make)
        graph.add(write, values=made)
        result = engine.run(graph)
        assert result.first_error is not None
        assert "read-only" in str(result.first_error.exception)
        graph = GraphDefinition("arrays")
        total = graph.add(WriteAllowed(), values=graph.add(make))
        assert engine.run(graph).get_output(total) == 15.0


def test_result_that_nobody_consumes_is_writeable(processes: ExecutionEngine) -> None:
    array = value_of(processes, lambda: np.zeros(1000))
    array[0] = 1.0
    assert array.flags.aligned


def test_class_that_was_sent_comes_back_as_the_class_it_is(processes: ExecutionEngine) -> None:
    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    def move(point: Point) -> Point:
        return Point(point.x + 1)

    moved = value_of(processes, move, point=Point(1))
    assert type(moved) is Point
    assert moved.x == 2


def test_closure_is_sent_anew_when_it_has_changed(processes: ExecutionEngine) -> None:
    box = [1]
    graph = GraphDefinition("closure")
    added = graph.add(lambda: box[0])
    assert processes.run(graph).get_output(added) == 1
    box[0] = 2
    assert processes.run(graph).get_output(added) == 2


def test_what_an_operation_writes_to_itself_stays_in_the_worker(processes: ExecutionEngine) -> None:
    class Remembering(Operation):
        done = OutputPort(bool)

        def execute(self, context: Any) -> None:
            self.seen = True
            self.done = True

    remembering = Remembering()
    assert value_of(processes, remembering)
    assert not hasattr(remembering, "seen")


# ---------------------------------------------------------------- maps


@pytest.mark.parametrize("items", [0, 1, 3_000])
def test_map_gives_what_threads_give(processes: ExecutionEngine, threads: ExecutionEngine, items: int) -> None:
    graph = GraphDefinition("map")
    squares = graph.map(lambda x, y: x * x + y, over={"x": list(range(items))}, y=1)
    assert processes.run(graph).get_output(squares) == threads.run(graph).get_output(squares)


def test_map_over_an_iterator_retries_its_items(processes: ExecutionEngine, tmp_path: Any) -> None:
    def fragile(x: int) -> int:
        mark = tmp_path / str(x)
        if x % 7 == 0 and not mark.exists():
            mark.touch()
            raise OSError("not yet")
        return x + 1

    class Numbers:
        def __iter__(self) -> Iterator[int]:
            return iter(range(200))

    graph = GraphDefinition("map")
    function = operation(retry_policy=RetryPolicy(max_attempts=2))(fragile)
    added = graph.map(function, over={"x": Numbers()})
    result = processes.run(graph)
    result.raise_if_failed()
    assert result.get_output(added) == list(range(1, 201))


def test_failed_item_is_named(processes: ExecutionEngine) -> None:
    def half(x: int) -> int:
        if x == 5:
            raise ValueError("odd")
        return x // 2

    graph = GraphDefinition("map")
    graph.map(half, over={"x": list(range(10))})
    error = processes.run(graph).first_error
    assert error is not None
    assert isinstance(error.exception, MapError)
    assert "half[5]" in str(error.exception)
    assert error.where is not None
    assert error.where.endswith("in half")


# ---------------------------------------------------------------- errors


def raise_chained() -> None:
    try:
        {}["missing"]
    except KeyError as fault:
        raise ValueError("no such row") from fault


def set_wrong_type() -> Operation:
    class Wrong(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.rows = "three"

    return Wrong()


def set_nothing() -> Operation:
    class Unset(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            pass

    return Unset()


def ask_for_unknown_port() -> Operation:
    class Asking(Operation):
        rows = OutputPort(int)

        def execute(self, context: Any) -> None:
            self.set_output("row", 3)

    return Asking()


@pytest.mark.parametrize("make", [set_wrong_type, set_nothing, ask_for_unknown_port], ids=lambda make: make.__name__)
def test_broken_contracts_are_told_as_on_threads(
    processes: ExecutionEngine, threads: ExecutionEngine, make: Callable[[], Operation]
) -> None:
    there, here = error_of(processes, make()), error_of(threads, make())
    assert type(there[0]) is type(here[0])
    assert there[1].get_error_message() == here[1].get_error_message()


def test_exception_keeps_type_message_place_and_causes(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def fail() -> None:
        try:
            {}["missing"]
        except KeyError as fault:
            raise ValueError("no such row") from fault

    error, result = error_of(processes, fail)
    assert type(error) is ValueError
    assert isinstance(error.__cause__, RemoteTraceback)
    assert type(error.__cause__.__cause__) is KeyError
    assert '{}["missing"]' in str(error.__cause__)
    assert "execute_attempt" not in str(error.__cause__)
    assert result.get_error_message() == error_of(threads, fail)[1].get_error_message()


def test_exception_class_of_the_user_is_the_very_class(processes: ExecutionEngine) -> None:
    class Busy(Exception):
        def __init__(self, code: int, text: str) -> None:
            super().__init__(f"{code}: {text}")
            self.code = code
            self.lock = threading.Lock()

    def fail() -> None:
        raise Busy(503, "later")

    error, _ = error_of(processes, fail)
    assert type(error) is Busy
    assert str(error) == "503: later"
    assert error.code == 503


def test_system_exit_fails_the_operation_and_leaves_the_worker(processes: ExecutionEngine) -> None:
    def leave() -> None:
        raise SystemExit(3)

    before = {value_of(processes, lambda: os.getpid()) for _ in range(4)}
    assert type(error_of(processes, leave)[0]) is SystemExit
    assert {value_of(processes, lambda: os.getpid()) for _ in range(4)} <= before


@pytest.mark.parametrize(
    ("function", "inputs", "port", "says"),
    [
        (lambda x: 1, {"x": threading.Lock()}, "x", "input 'x' of lambda cannot be sent to a worker process"),
        (lambda: threading.Lock(), {}, "result", "output 'result' of lambda cannot be sent from its worker process"),
    ],
    ids=["input", "output"],
)
def test_value_that_cannot_be_sent_is_named(
    processes: ExecutionEngine, function: Any, inputs: dict[str, Any], port: str, says: str
) -> None:
    error, _ = error_of(processes, function, **inputs)
    assert isinstance(error, TransferError)
    assert error.port == port
    assert says in str(error)
    assert "executor='thread'" in str(error)


def test_operation_that_cannot_be_sent_is_named(processes: ExecutionEngine) -> None:
    lock = threading.Lock()

    def locked() -> bool:
        return lock.locked()

    error, _ = error_of(processes, locked)
    assert isinstance(error, TransferError)
    assert "locked cannot be sent to a worker process" in str(error)


# ---------------------------------------------------------------- the context


def test_random_streams_are_those_of_threads(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def draw(context: ExecutionContext) -> tuple[float, float]:
        return context.rng().random(), context.random().random()

    assert value_of(processes, draw) == value_of(threads, draw)


def test_context_is_a_copy_with_what_was_added_to_it(processes: ExecutionEngine) -> None:
    class Mine(ExecutionContext):
        colour = "red"

    def look(context: ExecutionContext) -> tuple[Any, ...]:
        return (
            type(context).__name__,
            context.colour,
            context.extra,
            dict(context.parameters),
            context.run_id,
            context.attempt,
            context.operation_name,
            context.secrets["token"].reveal(),
        )

    context = Mine("nightly", parameters={"month": 7}, secrets={"token": "hunter2"})
    context.extra = [1]
    result = processes.run(one(look), context)
    assert result.get_output("look") == ("Mine", "red", [1], {"month": 7}, "nightly", 1, "look", "hunter2")


def test_shared_state_is_the_one_of_the_run(processes: ExecutionEngine) -> None:
    def count(x: int, context: ExecutionContext) -> int:
        context.shared.update("seen", lambda seen: [*seen, x], default=[])
        return context.shared.update("total", lambda total: total + x, default=0)

    context = ExecutionContext(shared={"kept": 1})
    graph = GraphDefinition("shared")
    graph.map(count, over={"x": list(range(50))})
    processes.run(graph, context).raise_if_failed()
    assert context.shared["total"] == sum(range(50))
    assert sorted(context.shared["seen"]) == list(range(50))


def test_shared_state_behaves_as_in_process(processes: ExecutionEngine, threads: ExecutionEngine) -> None:
    def use(context: ExecutionContext) -> list[Any]:
        shared = context.shared
        said: list[Any] = [shared.get("a"), shared.get("b", 5), shared["a"], "a" in shared, len(shared), sorted(shared)]
        shared["c"] = 3
        said += [shared.setdefault("c", 4), shared.pop("c"), shared.pop("c", None), shared.snapshot()]
        for fault in (lambda: shared["gone"], lambda: shared.update("gone", str), lambda: shared.pop("gone")):
            try:
                fault()
            except KeyError as error:
                said.append(str(error))
        return said

    there = processes.run(one(use), ExecutionContext(shared={"a": 1}))
    here = threads.run(one(use), ExecutionContext(shared={"a": 1}))
    assert there.get_output("use") == here.get_output("use")


def test_log_records_reach_the_handlers_of_the_parent(
    processes: ExecutionEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def speak(context: ExecutionContext) -> None:
        context.logger.debug("not heard")
        context.logger.info("the token is %s", "hunter2", extra={"rows": 3})

    context = ExecutionContext("r1", "INFO", secrets={"token": "hunter2"})
    with caplog.at_level(logging.DEBUG):
        processes.run(one(speak), context).raise_if_failed()
    (record,) = (record for record in caplog.records if record.name == "execution_dataflow.run")
    assert record.getMessage() == "the token is ***"
    assert (record.run_id, record.operation, record.rows) == ("r1", "speak", 3)


def test_progress_reaches_the_run(processes: ExecutionEngine) -> None:
    from execution_dataflow import OperationProgress

    def work(context: ExecutionContext) -> None:
        context.progress(0.5, "half way")

    said: list[tuple[float, str]] = []
    with processes.subscribe(lambda event: said.append((event.fraction, event.message)), OperationProgress):
        processes.run(one(work)).raise_if_failed()
    assert said == [(0.5, "half way")]


def test_clients_are_made_where_they_are_used_and_closed_at_the_end(processes: ExecutionEngine, tmp_path: Any) -> None:
    class Connection:
        def __init__(self) -> None:
            self.pid = os.getpid()
            (tmp_path / f"open-{self.pid}").touch()

        def close(self) -> None:
            (tmp_path / f"open-{self.pid}").rename(tmp_path / f"closed-{self.pid}")

    def use(context: ExecutionContext) -> int:
        assert context.clients.db is context.clients["db"]
        return context.clients.db.pid

    result = processes.run(one(use), ExecutionContext(clients={"db": Connection}))
    pid = result.get_output("use")
    assert pid != os.getpid()
    # The next task of that worker comes behind the end of the run.
    while value_of(processes, lambda: os.getpid()) != pid:
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f"closed-{pid}"]


def test_client_that_cannot_be_sent_is_named_where_it_is_asked_for(processes: ExecutionEngine) -> None:
    def use(context: ExecutionContext) -> None:
        context.clients.db

    result = processes.run(one(use), ExecutionContext(clients={"db": threading.Lock()}))
    assert result.first_error is not None
    assert "client 'db'" in str(result.first_error.exception)


def test_context_variables_begin_empty_and_stay_with_the_attempt(processes: ExecutionEngine) -> None:
    def look() -> tuple[bool, bool]:
        import decimal

        before = decimal.getcontext().prec
        decimal.getcontext().prec = 5
        return before == 28, decimal.getcontext().prec == 5

    for _ in range(6):
        assert value_of(processes, look) == (True, True)


# ---------------------------------------------------------------- death


def deaths() -> list[Any]:
    def killed() -> None:
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    def crashed() -> None:
        import ctypes

        ctypes.string_at(0)

    def exited() -> None:
        os._exit(3)

    return [pytest.param(killed, 9, None, id="SIGKILL"), pytest.param(crashed, 11, None, id="SIGSEGV"),
            pytest.param(exited, None, 3, id="os._exit")]  # fmt: skip


@pytest.mark.parametrize(("die", "number", "code"), deaths())
def test_death_fails_the_one_operation_that_ran(
    processes: ExecutionEngine, die: Any, number: int | None, code: int | None
) -> None:
    graph = GraphDefinition("deaths")
    dying = graph.add(operation(name="dying")(die))
    others = [graph.add(lambda x: x + 1, x=index) for index in range(100)]
    result = processes.run(graph, failure_policy="continue")
    assert [result.get_output(other) for other in others] == list(range(1, 101))
    assert result.get_state(dying) is OperationState.FAILED
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, WorkerDied)
    assert (error.operation, error.signal, error.exit_code) == ("dying", number, code)
    assert error.pid not in (0, os.getpid())


def test_death_may_be_retried(processes: ExecutionEngine, tmp_path: Any) -> None:
    mark = tmp_path / "mark"

    def dies_once() -> str:
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return "alive"

    graph = GraphDefinition("retry")
    policy = RetryPolicy(max_attempts=2, retry_on=WorkerDied)
    added = graph.add(operation(retry_policy=policy)(dies_once))
    result = processes.run(graph)
    assert result.get_output(added) == "alive"
    timing = result.get_timing(added)
    assert timing is not None
    assert timing.attempts == 2


def test_operation_that_kills_every_worker_is_given_up_by_name(processes: ExecutionEngine) -> None:
    def deadly() -> None:
        os._exit(1)

    graph = GraphDefinition("deadly")
    policy = RetryPolicy(max_attempts=4, retry_on=WorkerDied)
    graph.add(operation(retry_policy=policy)(deadly))
    squares = graph.map(lambda x: x * x, over={"x": list(range(500))})
    result = processes.run(graph, failure_policy="continue")
    assert result.get_output(squares) == [x * x for x in range(500)]
    assert result.first_error is not None
    assert (result.first_error.operation, result.first_error.attempt) == ("deadly", 4)

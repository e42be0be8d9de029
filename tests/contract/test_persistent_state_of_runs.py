"""What is committed of persistent state when operations succeed, fail, are retried, mapped, timed, undone."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    NoStateStoreError,
    Operation,
    OutsideRunError,
    RetryPolicy,
    StateConflictError,
    Store,
    StoreError,
    open_store,
    operation,
)
from execution_dataflow.persistent_state import edit_state
from execution_dataflow.stores.journal import StateChange

# On a busy machine more than the first attempt may be out of time.
PATIENT = RetryPolicy(max_attempts=20)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / "state.db"


@pytest.fixture(scope="module", params=["thread", "process"])
def engine(request: pytest.FixtureRequest, path: Path) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(max_workers=2, executor=request.param, state=path)
    yield engine
    close_in_time(engine.close)


@pytest.fixture(scope="module")
def threads(path: Path) -> Iterator[ExecutionEngine]:
    with ExecutionEngine(max_workers=2, state=path) as engine:
        yield engine


@pytest.fixture(autouse=True)
def no_state(path: Path) -> None:
    with open_store(path) as store:
        journal = store.journal
        places = [(namespace, key) for namespace in journal.namespaces() for key in journal.state_keys(namespace)]
        journal.change_state([StateChange(*place, None) for place in places])


def one(function: Any, name: str = "g", **inputs: Any) -> GraphDefinition:
    graph = GraphDefinition(name)
    graph.add(function, **inputs)
    return graph


def kept(path: Path, namespace: str) -> dict[str, Any]:
    with edit_state(path, namespace) as state:
        return {key: state.get(key) for key in state}


def count(context: ExecutionContext) -> int:
    return context.state.update("runs", lambda runs: runs + 1, default=0)


# ---------------------------------------------------------------- commits


def test_state_is_the_same_over_runs_and_engines(engine: ExecutionEngine, path: Path) -> None:
    graph = one(count)
    assert [engine.run(graph).get_output("count") for _ in range(3)] == [1, 2, 3]
    with ExecutionEngine(state=path) as other:
        assert other.run(graph).get_output("count") == 4
        assert other.run(one(count, "another")).get_output("count") == 1
    assert kept(path, "operation:g/count") == {"runs": 4}


def test_failed_attempt_leaves_no_trace_and_the_next_one_counts_once(engine: ExecutionEngine, path: Path) -> None:
    def work(context: ExecutionContext) -> list[Any]:
        state = context.state
        seen = [state.get("runs", 0), state.get("last attempt")]
        state.put("runs", state.get("runs", 0) + 1)
        state.put("last attempt", context.attempt)
        state.namespace("orders").put(f"attempt {context.attempt}", True)
        if context.attempt < 3:
            raise OSError("busy")
        return seen

    result = engine.run(one(operation(work, retry_policy=RetryPolicy(max_attempts=3))))
    assert result.get_output("work") == [0, None]
    assert kept(path, "operation:g/work") == {"last attempt": 3, "runs": 1}
    assert kept(path, "orders") == {"attempt 3": True}


def test_operation_that_fails_for_good_leaves_no_trace(engine: ExecutionEngine, path: Path) -> None:
    def work(context: ExecutionContext) -> str:
        context.state.put("a", 1)
        raise OSError("busy")

    def stands_in(context: ExecutionContext) -> str:
        return f"{context.state.name}: {context.state.get('a')}"

    result = engine.run(one(work))
    assert not result.is_successful()
    assert result._record.overlays is None or not result._record.overlays._live
    assert engine.run(one(operation(work, on_failure="nothing"))).get_output("work") == "nothing"
    result = engine.run(one(operation(work, on_failure=operation(stands_in))))
    assert result.get_output("work") == "operation:g/work: None"
    assert kept(path, "operation:g/work") == {}


def test_wrong_output_is_a_failure_too(engine: ExecutionEngine, path: Path) -> None:
    class Work(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_output_port("rows")

        def execute(self, context: ExecutionContext) -> None:
            context.state.put("a", 1)

    graph = GraphDefinition("g")
    graph.add(Work())
    assert not engine.run(graph).is_successful()
    assert kept(path, "operation:g/Work") == {}


def test_state_is_there_before_successors_start(engine: ExecutionEngine) -> None:
    def first(context: ExecutionContext) -> int:
        context.state.namespace("orders").put("a", 1)
        return 0

    def second(x: int, context: ExecutionContext) -> Any:
        return context.state.namespace("orders").get("a")

    graph = GraphDefinition("g")
    last = graph.add(second, x=graph.add(first))
    assert engine.run(graph).get_output(last) == 1


def test_values_of_all_kinds_come_back_equal(engine: ExecutionEngine) -> None:
    import numpy as np

    values = {"plain": [1, None, {"a": 2.5}], "tuple": (1, "a"), "array": np.arange(6).reshape(2, 3), "set": {1, 2}}

    def put(values: dict[str, Any], context: ExecutionContext) -> None:
        for key, value in values.items():
            context.state.put(key, value)

    def look(done: Any, context: ExecutionContext) -> dict[str, Any]:
        state = context.state.namespace("operation:g/put")
        return {key: state.get(key) for key in state}

    graph = GraphDefinition("g")
    last = graph.add(look, done=graph.add(put, values=values))
    found = engine.run(graph).get_output(last)
    assert np.array_equal(found.pop("array"), values.pop("array"))
    assert found == values


# ---------------------------------------------------------------- conflicts


def change_beside(path: Path) -> None:
    """As another process does between the reading and the committing of an attempt."""
    with edit_state(path, "operation:g/work") as state:
        state.update("runs", lambda runs: runs + 10, default=0)


@pytest.mark.parametrize("policy", [None, RetryPolicy(max_attempts=2)])
def test_conflict_fails_the_attempt_and_a_policy_lets_it_try_again(
    engine: ExecutionEngine, path: Path, policy: RetryPolicy | None
) -> None:
    def work(path: Path, context: ExecutionContext) -> int:
        runs = context.state.update("runs", lambda runs: runs + 1, default=0)
        context.state.namespace("orders").put(f"attempt {context.attempt}", 1)
        if context.attempt == 1:
            change_beside(path)
        return runs

    result = engine.run(one(operation(work, retry_policy=policy), path=path))
    if policy is None:
        assert result.first_error is not None
        error = result.first_error.exception
        assert isinstance(error, StateConflictError)
        assert (error.namespace, error.key) == ("operation:g/work", "runs")
        assert "a RetryPolicy lets the operation read it again" in str(result.get_error_message())
        assert kept(path, "operation:g/work") == {"runs": 10}
        assert kept(path, "orders") == {}
    else:
        assert result.get_output("work") == 11
        assert kept(path, "operation:g/work") == {"runs": 11}
        assert kept(path, "orders") == {"attempt 2": 1}


def test_counter_of_all_items_counts_each_once(engine: ExecutionEngine, path: Path) -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=1000))
    def work(x: int, context: ExecutionContext) -> int:
        state = context.state
        state.update("all", lambda done: done + 1, default=0)
        state.put(f"item/{x}", context.attempt)
        if x % 7 == 3 and context.attempt == 1:
            raise OSError("busy")
        return x

    graph = GraphDefinition("g")
    mapped = graph.map(work, over={"x": list(range(30))})
    assert engine.run(graph).get_output(mapped) == list(range(30))
    found = kept(path, "operation:g/work")
    assert found["all"] == 30
    assert len(found) == 31


def test_failed_item_leaves_no_trace(engine: ExecutionEngine, path: Path) -> None:
    def work(x: int, context: ExecutionContext) -> None:
        context.state.namespace("items").put(str(x), 1)
        if x == 2:
            raise OSError("busy")

    graph = GraphDefinition("g")
    graph.map(work, over={"x": [1, 2, 3]})
    result = engine.run(graph, failure_policy="continue")
    assert kept(path, "items") == {"1": 1, "3": 1}
    assert not result._record.overlays._live  # nor in memory


# ---------------------------------------------------------------- kinds of operations


def test_coroutines_and_their_tasks_share_one_attempt(threads: ExecutionEngine, path: Path) -> None:
    async def work(context: ExecutionContext) -> int:
        async def step(key: str) -> None:
            await asyncio.sleep(0)
            context.state.update(key, lambda value: value + 1, default=0)
            await asyncio.to_thread(lambda: context.state.update("all", lambda value: value + 1, default=0))

        await asyncio.gather(*(step(key) for key in "aab"))
        return context.state.get("all")

    assert threads.run(one(work)).get_output("work") == 3
    assert kept(path, "operation:g/work") == {"a": 2, "all": 3, "b": 1}


def test_attempt_that_was_out_of_time_leaves_no_trace(engine: ExecutionEngine, path: Path) -> None:
    @operation(timeout_seconds=0.2, retry_policy=PATIENT)
    def work(context: ExecutionContext) -> int:
        context.state.put(f"attempt {context.attempt}", 1)
        if context.attempt == 1:
            for _ in range(3000):
                time.sleep(0.01)
        return context.attempt

    successful = engine.run(one(work)).get_output("work")
    assert successful > 1
    assert kept(path, "operation:g/work") == {f"attempt {successful}": 1}


def test_coroutine_that_was_out_of_time_leaves_no_trace(threads: ExecutionEngine, path: Path) -> None:
    @operation(timeout_seconds=0.1, retry_policy=PATIENT)
    async def work(context: ExecutionContext) -> int:
        context.state.put(f"attempt {context.attempt}", 1)
        if context.attempt == 1:
            await asyncio.sleep(30)
        return context.attempt

    successful = threads.run(one(work)).get_output("work")
    assert successful > 1
    assert kept(path, "operation:g/work") == {f"attempt {successful}": 1}


def test_cancelled_attempt_leaves_no_trace(engine: ExecutionEngine, path: Path, tmp_path: Path) -> None:
    def work(started: Path, context: ExecutionContext) -> None:
        context.state.put("a", 1)
        started.touch()
        while not context.cancelled:
            time.sleep(0.005)
        context.raise_if_cancelled()

    handle = engine.submit(one(work, started=tmp_path / "started"))
    until = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.005)
    handle.cancel()
    handle.result()
    assert kept(path, "operation:g/work") == {}


def test_dynamic_operation_and_what_it_returns_commit_each_their_own(threads: ExecutionEngine, path: Path) -> None:
    @operation(dynamic=True)
    def plan(context: ExecutionContext) -> GraphDefinition:
        context.state.put("planned", 1)
        graph = GraphDefinition("inner")
        graph.add(operation(count, name="result"))
        return graph

    assert threads.run(one(plan)).is_successful()
    assert kept(path, "operation:g/plan") == {"planned": 1}
    assert kept(path, "operation:g/plan/result") == {"runs": 1}


def test_run_inside_an_operation_commits_for_itself(threads: ExecutionEngine, path: Path) -> None:
    def work(context: ExecutionContext) -> None:
        context.state.put("outer", 1)
        with context.state.transaction():
            threads.run(one(count, "inner")).raise_if_failed()
        raise OSError("busy")

    assert not threads.run(one(work)).is_successful()
    assert kept(path, "operation:g/work") == {}
    assert kept(path, "operation:inner/count") == {"runs": 1}


def test_revert_changes_state_too(threads: ExecutionEngine, path: Path) -> None:
    class Reserve(Operation):
        def execute(self, context: ExecutionContext) -> None:
            context.state.put("reserved", True)
            context.state.put("runs", 1)

        def revert(self, context: ExecutionContext) -> None:
            assert context.state.get("reserved") is True
            context.state.delete("reserved")

    def fail() -> None:
        raise OSError("busy")

    graph = GraphDefinition("g")
    reserve, failing = graph.add(Reserve()), graph.add(fail)
    graph.add_dependency(reserve, failing)
    result = threads.run(graph, on_failure="revert")
    assert list(result.reverted) == ["Reserve"]
    assert kept(path, "operation:g/Reserve") == {"runs": 1}


# ---------------------------------------------------------------- caches


@pytest.mark.parametrize("executor", ["thread", "process", "async"])
def test_operation_that_uses_state_is_not_kept_in_a_cache(path: Path, tmp_path: Path, executor: str) -> None:
    """Or another attempt, after a conflict, would take what was kept and change nothing."""

    def work(path: Path, context: ExecutionContext) -> int:
        runs = context.state.update("runs", lambda runs: runs + 1, default=0)
        if context.attempt == 1:
            change_beside(path)
        return runs

    async def work_async(path: Path, context: ExecutionContext) -> int:
        return work(path, context)

    def look(context: ExecutionContext) -> int:
        return context.state.namespace("operation:g/work").get("runs")

    chosen = operation(
        work_async if executor == "async" else work,
        name="work",
        cache=True,
        retry_policy=RetryPolicy(max_attempts=2),
    )
    graph = GraphDefinition("g")
    worked, looked = graph.add(chosen, path=path), graph.add(operation(look, cache=True))
    graph.add_dependency(worked, looked)
    options = {} if executor == "async" else {"executor": executor}
    with ExecutionEngine(max_workers=1, state=path, cache=tmp_path / "cache.db", **options) as engine:
        found = [engine.run(graph, retain="all") for _ in range(2)]
    assert [result.get_output(worked) for result in found] == [11, 22]
    assert [result.get_output(looked) for result in found] == [11, 22]
    assert any("uses context.state, and so depends on more than its inputs" in text for text in found[0].warnings)


# ---------------------------------------------------------------- stores that fail


class _Failing:
    """A journal of which reading or changing state fails."""

    def __init__(self, journal: Any, method: str) -> None:
        self.__dict__.update(
            {name: getattr(journal, name) for name in dir(journal) if not name.startswith("_") and name != method}
        )
        self.__dict__[method] = self._fail

    def _fail(self, *arguments: Any) -> None:
        raise StoreError("the disk is full") from OSError(28, "No space left on device")


@pytest.mark.parametrize("executor", ["thread", "process"])
@pytest.mark.parametrize("method", ["read_state", "state_keys", "change_state"])
def test_store_that_fails_fails_the_attempt(path: Path, method: str, executor: str) -> None:
    def work(context: ExecutionContext) -> None:
        context.state.put("a", 1)
        context.state.get("b")
        context.state.keys()

    with open_store(path) as store:
        failing = Store(_Failing(store.journal, method), store.artifacts)  # type: ignore[arg-type]
        with ExecutionEngine(max_workers=1, executor=executor, state=failing) as engine:
            result = engine.run(one(work))
    assert result.first_error is not None
    assert isinstance(result.first_error.exception, StoreError)
    assert "the disk is full" in str(result.get_error_message())
    assert kept(path, "operation:g/work") == {}


# ---------------------------------------------------------------- where there is none


def test_run_without_a_store_says_how_to_give_one() -> None:
    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def work(context: ExecutionContext) -> None:
        context.state.get("a")

    for executor in ("thread", "process"):
        with ExecutionEngine(max_workers=1, executor=executor) as engine:
            result = engine.run(one(work))
        assert result.first_error is not None
        assert isinstance(result.first_error.exception, NoStateStoreError)
        assert 'ExecutionEngine(state="sqlite:///state.db")' in str(result.get_error_message())
        assert result.first_error.attempt == 1


def test_state_outside_of_a_run_is_refused() -> None:
    with pytest.raises(OutsideRunError, match=r"context\.state was asked for outside of a run"):
        _ = ExecutionContext().state


def test_thread_that_goes_on_after_its_operation_is_told(threads: ExecutionEngine) -> None:
    go_on, told = threading.Event(), []

    def late(state: Any) -> None:
        go_on.wait(20)
        try:
            state.put("a", 1)
        except OutsideRunError as error:
            told.append(str(error))

    def work(context: ExecutionContext) -> threading.Thread:
        thread = threading.Thread(target=late, args=(context.state,))
        thread.start()
        return thread

    thread = threads.run(one(work)).get_output("work")
    go_on.set()
    thread.join(20)
    assert len(told) == 1
    assert "the state of work was used when attempt 1 had ended" in told[0]

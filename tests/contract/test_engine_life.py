"""Engines come and go, with their threads: close, engines that are thrown away, many at once."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import Any

import pytest
from gated_graph import Gate, follow, simple
from patience import LIMIT_SECONDS, await_event, eventually

from execution_dataflow import (
    EngineClosedError,
    ExecutionEngine,
    GraphCompleted,
    GraphDefinition,
    _core,
    operation,
)
from execution_dataflow.executors.threads import worker_threads


def test_close_waits_for_runs_that_go_on_and_refuses_new_ones() -> None:
    gate = Gate()
    engine = ExecutionEngine(max_workers=1)
    handle = engine.submit(gate.graph)
    await_event(gate.running)
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    assert eventually(lambda: "closed" in repr(engine))
    for go in (engine.run, engine.submit, lambda graph: asyncio.run(engine.run_async(graph))):
        with pytest.raises(EngineClosedError, match="another ExecutionEngine"):
            go(simple()[0])
    with pytest.raises(EngineClosedError):
        engine.subscribe(print)
    with pytest.raises(EngineClosedError):
        engine.__enter__()
    assert closing.is_alive()
    gate.open.set()
    closing.join(LIMIT_SECONDS)
    assert not closing.is_alive()
    assert handle.result().is_successful()
    engine.close()


def test_results_outlive_their_engine() -> None:
    graph, last = simple()
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(graph)
    del engine
    gc.collect()
    assert result.get_output(last) == 42
    assert "SUCCEEDED" in result.summary()


def test_a_submitted_run_goes_on_without_its_handle_and_its_engine() -> None:
    gate = Gate()
    ended = threading.Event()
    end = gate.graph.add(lambda: ended.set())
    gate.graph.add_dependency(gate.tail, end)
    engine = ExecutionEngine(max_workers=1)
    watched = weakref.ref(engine)
    engine.submit(gate.graph)
    await_event(gate.running)
    del engine
    gc.collect()
    gate.open.set()
    await_event(ended)
    assert eventually(lambda: (gc.collect() and False) or watched() is None)


def test_threads_go_with_their_engines() -> None:
    def pool() -> int:
        return sum(thread.name.startswith("execution-dataflow-") for thread in threading.enumerate())

    gc.collect()
    assert eventually(lambda: _core.serving_threads() <= pool())
    with ExecutionEngine(max_workers=60) as engine:
        wide = GraphDefinition()
        for _ in range(60):
            wide.add(follow, value=1)
        engine.run(wide)
        assert pool() >= 59
    assert eventually(lambda: pool() < 59)
    thrown_away = ExecutionEngine(max_workers=60)
    thrown_away.run(wide)
    assert pool() >= 59
    del thrown_away
    assert eventually(lambda: (gc.collect() and False) or pool() < 59)


def test_engines_that_are_thrown_away_leave_no_loop_and_no_dispatcher_behind() -> None:
    @operation
    async def one() -> int:
        return 1

    graph = GraphDefinition()
    node = graph.add(one)
    before = threading.active_count()
    results = []
    for _ in range(20):
        engine = ExecutionEngine(max_workers=2)
        engine.subscribe(lambda event: None)
        results.append(engine.run(graph))
        results.append(engine.submit(graph).result(LIMIT_SECONDS))
    del engine
    assert eventually(lambda: (gc.collect() and False) or threading.active_count() <= before)
    assert [result.get_output(node) for result in results] == [1] * 40


def test_a_subscriber_of_an_engine_that_is_thrown_away_gets_all_events() -> None:
    gate = Gate()
    events: list[object] = []
    engine = ExecutionEngine(max_workers=1)
    engine.subscribe(events.append)
    engine.submit(gate.graph)
    await_event(gate.running)
    del engine
    gc.collect()
    gate.open.set()
    assert eventually(lambda: events and type(events[-1]) is GraphCompleted)
    assert len(events) == 7


def test_engines_that_are_collected_while_threads_start_disturb_nobody() -> None:
    graph, last = simple()
    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        for number in range(200):
            engine: Any = ExecutionEngine(max_workers=2 + number % 5)
            engine.myself = engine
            assert engine.submit(graph).result(LIMIT_SECONDS).get_output(last) == 42
    finally:
        gc.set_threshold(*thresholds)


def test_submitted_runs_of_one_operation_work_side_by_side() -> None:
    meeting = threading.Barrier(4, timeout=20)
    graph = GraphDefinition()
    graph.add(lambda: meeting.wait())
    with ExecutionEngine(max_workers=4) as engine:
        handles = [engine.submit(graph) for _ in range(4)]
        assert all(handle.result(LIMIT_SECONDS).is_successful() for handle in handles)


def test_many_engines_share_one_pool() -> None:
    graph, last = simple()
    engines = [ExecutionEngine(max_workers=4) for _ in range(50)]
    before = threading.active_count()
    results = [engine.submit(graph) for engine in engines]
    assert [handle.result(LIMIT_SECONDS).get_output(last) for handle in results] == [42] * 50
    assert threading.active_count() <= before + 4
    for engine in engines:
        engine.close()


def test_engines_that_come_and_go_while_others_run() -> None:
    graph, last = simple()
    stop = threading.Event()
    counts = [0, 0, 0]

    def churn(number: int) -> None:
        while not stop.is_set():
            with ExecutionEngine(max_workers=1 + number) as engine:
                handle = engine.submit(graph)
                assert engine.run(graph).get_output(last) == 42
                assert handle.result(LIMIT_SECONDS).get_output(last) == 42
            counts[number] += 1

    threads = [threading.Thread(target=churn, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()
    assert min(counts) > 5


def test_closing_while_runs_are_submitted_loses_none() -> None:
    graph, _ = simple()
    for _ in range(50):
        engine = ExecutionEngine(max_workers=2)
        handles = []
        refused = threading.Event()

        def submit(engine: ExecutionEngine = engine, handles: list[Any] = handles, refused: Any = refused) -> None:
            try:
                while True:
                    handles.append(engine.submit(graph))
            except EngineClosedError:
                refused.set()

        thread = threading.Thread(target=submit, daemon=True)
        thread.start()
        time.sleep(0.001)
        engine.close()
        await_event(refused)
        assert all(handle.wait(LIMIT_SECONDS) for handle in handles)


def test_thread_that_is_being_started_may_give_back_the_threads_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first steps may collect garbage, with an engine in it, while its starter waits for them."""
    plain, done = threading.Thread, []

    class Collecting(threading.Thread):
        def start(self) -> None:
            finalizer = plain(target=worker_threads.release, args=(-1,), daemon=True)
            finalizer.start()
            finalizer.join(10.0)
            done.append(not finalizer.is_alive())
            super().start()

    monkeypatch.setattr(threading, "Thread", Collecting)
    wanted = _core.serving_threads() + 2
    worker_threads.require(-2, wanted, wanted)
    worker_threads.release(-2)
    assert done
    assert all(done)

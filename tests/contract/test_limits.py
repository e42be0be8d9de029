"""Resources, concurrency, tags and rates: nothing waits on a worker, and nothing is admitted beyond a limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Operation,
    OperationState,
    OutputPort,
    RateLimit,
    ResourceError,
    RetryPolicy,
    operation,
)


class Gauge:
    """How many are inside at the same time."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.entries: list[Any] = []
        self._lock = threading.Lock()

    @contextmanager
    def entered(self, what: Any = None, weight: int = 1) -> Iterator[None]:
        with self._lock:
            self.inside += weight
            self.most = max(self.most, self.inside)
            self.entries.append(what)
        try:
            yield
        finally:
            with self._lock:
                self.inside -= weight


def work(gauge: Gauge, weight: int = 1, seconds: float = 0.002) -> Callable[[int], int]:
    def step(number: int) -> int:
        with gauge.entered(number, weight):
            time.sleep(seconds)
        return number

    return step


def test_operations_never_hold_more_than_the_engine_has() -> None:
    gauge = Gauge()
    one = operation(resources={"gpu": 1})(work(gauge))
    two = operation(resources={"gpu": 2})(work(gauge, 2))
    graph = GraphDefinition()
    steps = [graph.add((two if number % 3 == 0 else one).new(), number=number) for number in range(60)]
    with ExecutionEngine(max_workers=8, resources={"gpu": 3}) as engine:
        result = engine.run(graph)
    assert [result.get_output(step) for step in steps] == list(range(60))
    assert 1 < gauge.most <= 3


def test_coroutines_are_held_back_without_a_worker() -> None:
    gauge = Gauge()

    @operation(max_concurrency=5)
    async def call(number: int) -> int:
        with gauge.entered():
            await asyncio.sleep(0.01)
        return number

    graph = GraphDefinition()
    calls = [graph.add(call, number=number) for number in range(100)]
    busy = [graph.add(lambda: threading.get_ident()) for _ in range(10)]
    with ExecutionEngine(max_workers=1) as engine:
        result = engine.run(graph)
    assert [result.get_output(step) for step in calls] == list(range(100))
    assert gauge.most == 5
    assert {result.get_output(step) for step in busy} == {threading.get_ident()}


def test_what_waits_for_a_resource_leaves_workers_to_others() -> None:
    free = threading.Event()

    @operation(resources={"db": 1})
    def slow(number: int) -> int:
        assert free.wait(20)
        return number

    graph = GraphDefinition()
    for number in range(5):
        graph.add(slow, number=number)
    last = graph.add(lambda: free.set())
    with ExecutionEngine(max_workers=2, resources={"db": 1}) as engine:
        result = engine.run(graph)
    assert result.is_successful()
    assert result.get_output(last) is None


def test_a_limit_of_a_class_holds_for_all_its_operations_and_for_no_other_class() -> None:
    gauge, other = Gauge(), Gauge()

    class Slow(Operation):
        max_concurrency = 2
        done = OutputPort(bool)

        def execute(self, context: ExecutionContext) -> None:
            with (gauge if type(self) is Slow else other).entered():
                time.sleep(0.002)
            self.done = True

    class Other(Slow):
        pass

    graph = GraphDefinition()
    for _ in range(15):
        graph.add(Slow())
        graph.add(Other())
    with ExecutionEngine(max_workers=6) as engine:
        assert engine.run(graph).is_successful()
    assert gauge.most == 2
    assert other.most == 2


def test_tags_are_limited_by_the_engine_across_classes_and_runs() -> None:
    gauge = Gauge()
    graphs = []
    for _ in range(3):
        graph = GraphDefinition()
        for number in range(10):
            graph.add(operation(tags=["api", "unlimited"])(work(gauge)), number=number)
            graph.add(operation(tags=["api"])(work(gauge)), number=number)
        graphs.append(graph)
    with ExecutionEngine(max_workers=6, tag_limits={"api": 3}) as engine:
        handles = [engine.submit(graph) for graph in graphs]
        assert all(handle.result().is_successful() for handle in handles)
    assert gauge.most == 3


def test_items_of_a_map_ask_for_themselves() -> None:
    gauge = Gauge()
    step = operation(resources={"gpu": 1})(work(gauge))
    graph = GraphDefinition()
    over_list = graph.map(step, over=range(40))
    over_iterator = graph.map(step, over=(number for number in range(40)))
    with ExecutionEngine(max_workers=6, resources={"gpu": 2}) as engine:
        result = engine.run(graph)
    assert result.get_output(over_list) == list(range(40))
    assert result.get_output(over_iterator) == list(range(40))
    assert gauge.most == 2


def test_items_that_are_coroutines_are_limited_and_retried() -> None:
    gauge = Gauge()
    failed: set[int] = set()

    @operation(max_concurrency=7, retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.001))
    async def call(number: int) -> int:
        with gauge.entered():
            await asyncio.sleep(0.01)
        if number % 5 == 0 and number not in failed:
            failed.add(number)
            raise OSError("busy")
        return number

    graph = GraphDefinition()
    called = graph.map(call, over=list(range(100)))
    with ExecutionEngine(max_workers=2) as engine:
        assert engine.run(graph).get_output(called) == list(range(100))
    assert gauge.most == 7


def test_a_failed_attempt_gives_back_what_it_held_while_it_waits_for_the_next() -> None:
    order: list[str] = []

    @operation(resources={"db": 1}, priority=1, retry_policy=RetryPolicy(max_attempts=2, delay_seconds=0.05))
    def flaky(_order: list[str]) -> None:
        _order.append("flaky")
        if _order.count("flaky") == 1:
            raise OSError("once")

    graph = GraphDefinition()
    graph.add(flaky, _order=order)
    graph.add(operation(resources={"db": 1})(lambda: order.append("other")))
    with ExecutionEngine(max_workers=2, resources={"db": 1}) as engine:
        assert engine.run(graph).is_successful()
        assert engine.run(graph).is_successful()
    assert order[:3] == ["flaky", "other", "flaky"]


@pytest.mark.parametrize("policy", ["fail_fast", "continue"])
def test_failures_lose_nothing_of_a_resource(policy: Any) -> None:
    @operation(resources={"gpu": 1})
    def fails(number: int) -> int:
        if number % 4 == 1:
            raise ValueError(number)
        return number

    graph = GraphDefinition()
    for number in range(30):
        graph.add(fails, number=number)
    mapped = GraphDefinition()
    mapped.map(fails, over=range(30))
    with ExecutionEngine(max_workers=4, resources={"gpu": 2}, failure_policy=policy) as engine:
        for _ in range(10):
            assert not engine.run(graph).is_successful()
            assert not engine.run(mapped).is_successful()
        fine = GraphDefinition()
        both = fine.add(operation(resources={"gpu": 2})(lambda: 1))
        assert engine.run(fine).get_output(both) == 1


def test_cancelling_gives_everything_back_and_leaves_nothing_waiting() -> None:
    started = threading.Event()

    @operation(resources={"gpu": 1})
    def slow(context: ExecutionContext, number: int) -> int:
        started.set()
        while not context.cancelled:
            time.sleep(0.001)
        return number

    graph = GraphDefinition()
    for number in range(50):
        graph.add(slow, number=number)
    graph.map(slow, over=range(50))
    with ExecutionEngine(max_workers=4, resources={"gpu": 2}) as engine:
        handle = engine.submit(graph)
        assert started.wait(20)
        handle.cancel()
        assert handle.wait(20)
        fine = GraphDefinition()
        both = fine.add(operation(resources={"gpu": 2})(lambda: 1))
        assert engine.run(fine).get_output(both) == 1


def test_cancelling_a_run_lets_others_have_what_was_kept_for_it() -> None:
    held, free = threading.Event(), threading.Event()

    @operation(resources={"db": 2})
    def hold() -> None:
        held.set()
        assert free.wait(20)

    holding = GraphDefinition("holding")
    first = holding.add(hold)
    # Waits for all four, and keeps the two that are free from those behind it.
    waiting = GraphDefinition("waiting")
    waiting.add(operation(resources={"db": 4})(lambda: None))
    behind = GraphDefinition("behind")
    one = behind.add(operation(resources={"db": 1})(lambda: 1))
    with ExecutionEngine(max_workers=4, resources={"db": 4}, grace_seconds=30) as engine:
        holder = engine.submit(holding)
        assert held.wait(20)
        handle = engine.submit(waiting)
        while engine._options.limits.core.waiting == 0:
            time.sleep(0.001)
        other = engine.submit(behind)
        while engine._options.limits.core.waiting == 1:
            time.sleep(0.001)
        handle.cancel()
        try:
            assert other.wait(10), "what was granted when the other run was cancelled was lost"
            assert other.result().get_output(one) == 1
        finally:
            free.set()
        assert handle.wait(20)
        assert holder.result().get_state(first) is OperationState.SUCCEEDED


def test_a_large_request_is_not_starved_by_small_ones() -> None:
    order: list[str] = []
    small = operation(resources={"gpu": 1})(lambda: (time.sleep(0.002), order.append("small")))
    graph = GraphDefinition()
    for _ in range(8):
        graph.add(small.new())
    graph.add(operation(resources={"gpu": 4})(lambda: order.append("large")))
    for _ in range(100):
        graph.add(small.new())
    with ExecutionEngine(max_workers=6, resources={"gpu": 4}) as engine:
        assert engine.run(graph).is_successful()
    assert order.index("large") < 100


def test_rates_space_the_starts_of_all_runs() -> None:
    starts: list[float] = []

    @operation(rate_limit=RateLimit(100, per_seconds=1, burst=3))
    def call() -> None:
        starts.append(time.monotonic())

    graph = GraphDefinition()
    for _ in range(10):
        graph.add(call)
    with ExecutionEngine(max_workers=4) as engine:
        handles = [engine.submit(graph), engine.submit(graph)]
        assert all(handle.result().is_successful() for handle in handles)
    starts.sort()
    assert len(starts) == 20
    # The burst at once, then one every 10 ms: the 20th comes 170 ms after the first at the earliest.
    assert starts[-1] - starts[0] > 0.16
    for first in range(len(starts) - 4):
        assert starts[first + 4] - starts[first] > 0.005


def test_a_rate_holds_items_of_a_map_back_and_can_be_cancelled() -> None:
    @operation(rate_limit=RateLimit(1, per_seconds=3600, burst=2))
    async def call(number: int) -> int:
        return number

    graph = GraphDefinition()
    graph.map(call, over=range(100))
    with ExecutionEngine(max_workers=2) as engine:
        handle = engine.submit(graph)
        assert not handle.wait(0.05)
        handle.cancel()
        assert handle.wait(20)


def test_what_can_never_be_met_is_refused_before_anything_starts() -> None:
    ran: list[int] = []
    graph = GraphDefinition()
    graph.add(lambda: ran.append(1))
    graph.add(operation(resources={"gpu": 3}, name="train")(lambda: 1))
    with ExecutionEngine(resources={"gpu": 2}) as engine:
        with pytest.raises(ResourceError, match="train needs 3 of 'gpu', and the engine has 2") as caught:
            engine.run(graph)
        assert (caught.value.resource, caught.value.requested, caught.value.available) == ("gpu", 3, 2)
    with ExecutionEngine(resources={"gpus": 2}) as engine, pytest.raises(ResourceError, match="did you mean 'gpus'"):
        engine.submit(graph)
    assert not ran


def test_a_nested_run_does_not_wait_for_what_its_own_operation_holds() -> None:
    inner = GraphDefinition("inner")
    inner.add(operation(resources={"gpu": 1}, name="train")(lambda: 1))
    with ExecutionEngine(max_workers=2, resources={"gpu": 1}) as engine:
        outer = GraphDefinition("outer")
        outer.add(operation(resources={"gpu": 1}, name="sweep")(lambda: engine.run(inner)))
        result = engine.run(outer)
    with pytest.raises(Exception, match=r"train needs 1 of gpu.*holds 1 of 1"):
        result.raise_if_failed()


def test_a_nested_run_uses_what_is_left() -> None:
    inner = GraphDefinition("inner")
    one = inner.add(operation(resources={"gpu": 1}, name="train")(lambda: 1))
    with ExecutionEngine(max_workers=2, resources={"gpu": 2}) as engine:
        outer = GraphDefinition("outer")
        sweep = outer.add(
            operation(resources={"gpu": 1}, name="sweep")(lambda: engine.run(inner).get_output(one)),
        )
        assert engine.run(outer).get_output(sweep) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"resources": ["gpu"]}, TypeError),
        ({"resources": {"gpu": "1"}}, TypeError),
        ({"resources": {"gpu": -1}}, ValueError),
        ({"resources": {1: 1}}, TypeError),
        ({"tag_limits": {"api": 0}}, ValueError),
        ({"tag_limits": {"api": "4"}}, TypeError),
        ({"tag_limits": {"api": (1, 2)}}, TypeError),
        ({"tag_limits": 4}, TypeError),
        ({"memory_limit": 0}, ValueError),
        ({"memory_limit": 1.5}, TypeError),
        ({"memory_limit": "much"}, ValueError),
    ],
)
def test_an_engine_refuses_limits_without_meaning(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        ExecutionEngine(**options)


def test_fractions_of_a_resource_add_up() -> None:
    gauge = Gauge()
    graph = GraphDefinition()
    for number in range(20):
        graph.add(operation(resources={"gpu": 0.1})(work(gauge)), number=number)
    with ExecutionEngine(max_workers=8, resources={"gpu": 0.3}) as engine:
        assert engine.run(graph).is_successful()
    assert gauge.most == 3


def test_demand_that_is_hardly_more_than_there_is_is_told_with_all_digits() -> None:
    graph = GraphDefinition()
    graph.add(operation(resources={"gpu": 1})(lambda: 1))
    with ExecutionEngine(resources={"gpu": 0.9999999}) as engine, pytest.raises(ResourceError) as caught:
        engine.run(graph)
    assert "needs 1" in str(caught.value)
    assert "the engine has 0.9999999:" in str(caught.value)

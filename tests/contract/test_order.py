"""Rule D4: the order follows `priority`, then memory, then the critical path; one worker always takes the same one."""

from __future__ import annotations

from typing import Any

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


class Step(Operation):
    taken = InputPort(str, many=True, optional=True)
    made = OutputPort(str)

    def __init__(self, name: str, order: list[str], **options: Any) -> None:
        super().__init__(name=name, **options)
        self.order = order

    def execute(self, context: ExecutionContext) -> None:
        self.order.append(str(self.name))
        self.set_output("made", str(self.name))


class Bench:
    """A graph of steps that write down their names."""

    def __init__(self) -> None:
        self.graph, self.order = GraphDefinition(), list[str]()

    def step(self, name: str, *before: Step, **options: Any) -> Step:
        step = Step(name, self.order, **options)
        self.graph.add_operation(step)
        for source in before:
            self.graph.connect(source, "made", step, "taken")
        return step

    def run(self) -> list[str]:
        self.order.clear()
        with ExecutionEngine(max_workers=1) as engine:
            engine.run(self.graph).raise_if_failed()
        return list(self.order)


def test_a_higher_priority_starts_earlier() -> None:
    bench = Bench()
    for name, priority in [("low", -1), ("plain", 0), ("high", 2), ("higher", 3)]:
        bench.step(name, priority=priority)
    assert bench.run() == ["higher", "high", "plain", "low"]


def test_a_priority_pulls_forward_what_it_waits_for() -> None:
    bench = Bench()
    bench.step("other end", bench.step("other start"))
    start = bench.step("start")
    bench.step("urgent", bench.step("middle", start), priority=1)
    assert bench.run() == ["start", "middle", "urgent", "other start", "other end"]


def test_a_low_priority_does_not_hold_back_what_others_wait_for() -> None:
    bench = Bench()
    bench.step("other")
    bench.step("end", bench.step("start", priority=-5))
    order = bench.run()
    assert order.index("start") + 1 == order.index("end")


def test_priority_goes_before_memory() -> None:
    bench = Bench()
    starts = [bench.step(f"start {i}", priority=1) for i in range(10)]
    for start in starts:
        bench.step(f"end of {start.name}", start)
    assert bench.run()[:10] == [start.name for start in starts]


def test_priority_as_a_class_attribute_and_as_an_option_of_a_function() -> None:
    order: list[str] = []

    class Urgent(Operation):
        priority = 1

        def execute(self, context: ExecutionContext) -> None:
            order.append("class")

    @operation(priority=2)
    def soon() -> None:
        order.append("function")

    @operation
    def later() -> None:
        order.append("plain")

    graph = GraphDefinition()
    for added in (later, Urgent(), soon):
        graph.add(added)
    with ExecutionEngine(max_workers=1) as engine:
        engine.run(graph).raise_if_failed()
    assert order == ["function", "class", "plain"]


def test_priorities_beyond_64_bits_count_as_the_highest_and_the_lowest() -> None:
    bench = Bench()
    for name, priority in [("lowest", -(10**30)), ("plain", 0), ("highest", 10**30)]:
        bench.step(name, priority=priority)
    assert bench.run() == ["highest", "plain", "lowest"]


@pytest.mark.parametrize("priority", ["high", 1.5, True])
def test_a_priority_that_is_no_integer_is_refused_when_the_graph_is_compiled(priority: Any) -> None:
    bench = Bench()
    bench.step("odd").priority = priority
    with pytest.raises(TypeError, match=r"odd\(priority=\) must be an int"):
        bench.graph.compile()


def test_chains_are_finished_one_by_one() -> None:
    bench = Bench()
    ends = [bench.step(f"{name}2", bench.step(f"{name}1")) for name in "abc"]
    bench.step("join", *ends)
    assert bench.run() == ["a1", "a2", "b1", "b2", "c1", "c2", "join"]


def test_of_parts_that_are_alike_in_memory_the_longest_comes_first() -> None:
    bench = Bench()
    bench.step("short")
    end = bench.step("long 1")
    for number in (2, 3, 4):
        end = bench.step(f"long {number}", end)
    assert bench.run() == ["long 1", "long 2", "long 3", "long 4", "short"]


def test_one_definition_has_one_order() -> None:
    def run() -> list[str]:
        bench = Bench()
        sources = [bench.step(f"source {i}") for i in range(5)]
        for i in range(40):
            bench.step(f"use {i}", sources[i % 5], sources[(i * 3 + 1) % 5], priority=i % 3)
        return bench.run()

    assert run() == run()

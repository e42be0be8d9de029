"""Fingerprints of the operations of a plan: what passes on to what follows, and what counts as configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    FallbackValue,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    mapped,
    operation,
)
from execution_dataflow.fingerprinting import (
    PlanFingerprints,
    child_fingerprints,
    item,
    plan_fingerprints,
    what_changed,
)

CODE, CONFIGURATION, INPUTS = ("its code",), ("its configuration",), ("its inputs",)


@operation
def doubled(x: float, factor: float = 2.0) -> float:
    return factor * x


@operation
def added(x: float, y: float) -> float:
    return x + y


class Scaled(Operation):
    x = InputPort(float)
    y = OutputPort(float)

    def __init__(self, factor: Any, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def execute(self, context: Any) -> None:
        self.y = self.x * self.factor


class Reading(Operation):
    out = OutputPort(float)

    def execute(self, context: Any) -> None:
        self.out = context.parameters["day"]


class Drawing(Operation):
    out = OutputPort(float)

    def execute(self, context: Any) -> None:
        self.out = context.rng().normal()


def found(build: Callable[[GraphDefinition], Any], given: Any = (), **options: Any) -> PlanFingerprints:
    graph = GraphDefinition()
    build(graph)
    return plan_fingerprints(graph.compile(), given, **options)


def differences(
    one: Callable[[GraphDefinition], Any], other: Callable[[GraphDefinition], Any]
) -> list[tuple[str, ...]]:
    before, after = found(one), found(other)
    assert not [before.reason(node) for node in range(len(before.all)) if before.of(node) is None]
    return [what_changed(old or b"", new or b"") for old, new in zip(before.all, after.all, strict=True)]


def chain(first: Any = doubled, x: float = 1.0, factor: float = 3.0) -> Callable[[GraphDefinition], Any]:
    def build(graph: GraphDefinition) -> None:
        start = graph.add(first, x=x)
        apart = graph.add(doubled, x=5.0)
        graph.add(added, x=graph.add(doubled, x=start, factor=factor), y=apart)

    return build


def test_same_graph_has_the_same_fingerprints_of_48_bytes() -> None:
    assert differences(chain(), chain()) == [(), (), (), ()]
    assert all(len(fingerprint or b"") == 48 for fingerprint in found(chain()).all)


def test_change_of_a_constant_reruns_what_follows_and_nothing_else() -> None:
    assert differences(chain(), chain(x=2.0)) == [CONFIGURATION, (), INPUTS, INPUTS]
    assert differences(chain(), chain(factor=4.0)) == [(), (), CONFIGURATION, INPUTS]
    assert differences(chain(x=1), chain(x=1.0))[0] == CONFIGURATION


def test_change_of_code_reruns_what_follows() -> None:
    @operation(outputs="result")
    def other(x: float, factor: float = 2.0) -> float:
        return factor + x

    assert differences(chain(), chain(other)) == [CODE, (), INPUTS, INPUTS]


def test_other_source_other_output_and_other_input_count() -> None:
    @operation(outputs=("low", "high"))
    def limits() -> tuple[float, float]:
        return 1.0, 2.0

    def build(first: str, second: str) -> Callable[[GraphDefinition], Any]:
        def add(graph: GraphDefinition) -> None:
            ends = graph.add(limits)
            graph.add(added, x=ends[first], y=ends[second])

        return add

    assert differences(build("low", "high"), build("low", "high")) == [(), ()]
    assert differences(build("low", "high"), build("high", "low")) == [(), INPUTS]
    assert differences(build("low", "high"), build("low", "low")) == [(), INPUTS]


def test_what_an_operation_only_waits_for_counts() -> None:
    def build(waits: bool, x: float = 1.0) -> Callable[[GraphDefinition], Any]:
        def add(graph: GraphDefinition) -> None:
            first, second = graph.add(doubled, x=x), graph.add(doubled, x=2.0)
            if waits:
                graph.add_dependency(first, second)

        return add

    assert differences(build(False), build(True)) == [(), INPUTS]
    assert differences(build(True), build(True, x=7.0)) == [CONFIGURATION, INPUTS]


def test_sources_of_an_input_that_takes_many_count_in_their_order() -> None:
    class Total(Operation):
        values = InputPort(float, many=True)
        total = OutputPort(float)

        def execute(self, context: Any) -> None:
            self.total = sum(self.values)

    def build(order: str) -> Callable[[GraphDefinition], Any]:
        def add(graph: GraphDefinition) -> None:
            known = {"a": graph.add(doubled, x=1.0), "b": graph.add(doubled, x=2.0)}
            graph.add(Total(), values=[known[name] for name in order])

        return add

    assert differences(build("ab"), build("ab")) == [(), (), ()]
    assert differences(build("ab"), build("ba")) == [(), (), INPUTS]


def one(made: Any, **inputs: Any) -> Callable[[GraphDefinition], Any]:
    return lambda graph: graph.add(made, **inputs)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (Scaled(2.0), Scaled(2.0), ()),
        (Scaled(2.0), Scaled(3.0), CONFIGURATION),
        (Scaled(2.0), Scaled(2), CONFIGURATION),
        (Scaled({"a": 1}), Scaled({"a": 2}), CONFIGURATION),
        (Scaled(2.0), Scaled(2.0, retry_policy=RetryPolicy(max_attempts=3), timeout_seconds=3, tags=["a"]), ()),
        (Scaled(2.0), Scaled(2.0, executor="inline", priority=3, name="other", resources={"gpu": 1}), ()),
        (Scaled(2.0), Scaled(2.0, on_failure=1.0), CONFIGURATION),
        (Scaled(2.0, on_failure=1.0), Scaled(2.0, on_failure=FallbackValue(2.0)), CONFIGURATION),
        (Scaled(2.0, on_failure=lambda x: x), Scaled(2.0, on_failure=lambda x: -x), CONFIGURATION),
        (Scaled(2.0, on_failure=Scaled(1)), Scaled(2.0, on_failure=Scaled(2)), CONFIGURATION),
        (Scaled(2.0, version="1"), Scaled(2.0, version="2"), CODE),
    ],
)
def test_attributes_and_fallbacks_are_configuration_and_how_it_is_run_is_not(
    before: Operation, after: Operation, changed: tuple[str, ...]
) -> None:
    assert differences(one(before, x=1.0), one(after, x=1.0)) == [changed]


def test_default_of_a_port_and_its_name_count() -> None:
    assert differences(one(Bare(1.0)), one(Bare(1.0))) == [()]
    assert differences(one(Bare(1.0)), one(Bare(2.0))) == [CONFIGURATION]
    assert differences(one(Bare(1.0)), one(Bare(1.0, port="other"))) == [CONFIGURATION]


class Bare(Operation):
    def __init__(self, default: float, port: str = "x") -> None:
        super().__init__()
        self.add_input_port(port, InputPort(float, default=default))

    def execute(self, context: Any) -> None: ...


def test_map_counts_with_its_item_and_its_settings() -> None:
    def build(made: Any = doubled, over: Any = (1.0, 2.0), **options: Any) -> Callable[[GraphDefinition], Any]:
        return lambda graph: graph.map(made, over={"x": list(over)}, **options)

    assert differences(build(), build(max_concurrency=2)) == [()]
    assert differences(build(), build(stack=True)) == [CONFIGURATION]
    assert differences(build(), build(factor=3.0)) == [CONFIGURATION]
    assert differences(build(), build(over=(1.0, 3.0))) == [CONFIGURATION]
    assert differences(build(), build(mapped(lambda x: x, over="x"), over=[[1.0]]))[0][0] == "its code"
    assert differences(build(Scaled(1.0)), build(Scaled(2.0))) == [CONFIGURATION]


def test_loop_counts_with_its_body_and_its_end() -> None:
    def build(step: float = 1.0, limit: float = 5.0, most: int = 9) -> Callable[[GraphDefinition], Any]:
        body = operation(outputs="x")(lambda x: x + step)
        return lambda graph: graph.repeat_until(body, until=lambda x: x > limit, max_iterations=most, x=0.0)

    assert differences(build(), build()) == [()]
    assert differences(build(), build(step=2.0)) == [CONFIGURATION]
    assert differences(build(), build(limit=6.0)) == [CONFIGURATION]
    assert differences(build(), build(most=8)) == [CONFIGURATION]


def test_switch_and_mapped_graph_count_with_what_they_hold() -> None:
    def switch(first: int, sign: int = 1) -> Callable[[GraphDefinition], Any]:
        by = (lambda value: value) if sign > 0 else (lambda value: -value)
        return lambda graph: graph.switch(7, cases={"even": first, "odd": 1}, by=by)

    assert differences(switch(0), switch(0)) == [()]
    assert differences(switch(0), switch(2)) == [CONFIGURATION]
    assert differences(switch(0), switch(0, -1)) == [CONFIGURATION]

    def graphs(factor: float) -> Callable[[GraphDefinition], Any]:
        inner = GraphDefinition("inner")
        inner.output("y", inner.add(doubled, x=inner.parameter("x", float), factor=factor))
        return lambda graph: graph.map(inner, over={"x": [1.0, 2.0]})

    assert differences(graphs(1.0), graphs(1.0)) == [()]
    assert differences(graphs(1.0), graphs(2.0)) == [CONFIGURATION]


def test_parameters_of_the_graph_count_where_they_lead() -> None:
    def build(graph: GraphDefinition) -> None:
        graph.add(doubled, x=graph.parameter("size", float))
        graph.add(doubled, x=1.0)

    graph = GraphDefinition()
    build(graph)
    plan = graph.compile()
    first, second = plan_fingerprints(plan, [1.0]), plan_fingerprints(plan, [2.0])
    assert what_changed(first.of(0) or b"", second.of(0) or b"") == CONFIGURATION
    assert first.of(1) == second.of(1)
    assert first.all == plan_fingerprints(plan, [1.0]).all


def test_parameters_of_the_context_count_for_who_may_read_them() -> None:
    def handing_on(context: ExecutionContext) -> float:
        return float(len(vars(context)))

    def build(graph: GraphDefinition) -> None:
        graph.add(Reading())
        graph.add(Scaled(1.0), x=1.0)
        graph.add(handing_on)
        graph.add(Drawing())

    first = found(build, context_parameters={"day": 1, "a": 2}, seed=1)
    same = found(build, context_parameters={"a": 2, "day": 1}, seed=1)
    other = found(build, context_parameters={"day": 2, "a": 2}, seed=1)
    reseeded = found(build, context_parameters={"day": 1, "a": 2}, seed=2)
    assert first.all == same.all
    assert [old != new for old, new in zip(first.all, other.all, strict=True)] == [True, False, True, False]
    assert [old != new for old, new in zip(first.all, reseeded.all, strict=True)] == [False, False, True, True]
    unknown = found(build, context_parameters={"link": threading.local()})
    assert [fingerprint is None for fingerprint in unknown.all] == [True, False, True, False]
    assert "'link'" in unknown.reason(0)


def test_operation_without_fingerprint_says_why_and_so_do_those_behind_it() -> None:
    def build(graph: GraphDefinition) -> None:
        first = graph.add(Scaled(threading.local(), name="connected"), x=1.0)
        graph.add(doubled, x=graph.add(doubled, x=first))
        graph.add(doubled, x=graph.add(lambda given: given, given=threading.local()))

    fingerprints = found(build)
    assert fingerprints.all == [None] * 5
    assert fingerprints.reason(0).startswith("attribute 'factor' of Scaled: _thread._local has no content")
    assert fingerprints.reason(2).startswith(
        "it follows 'connected', which cannot be fingerprinted: attribute 'factor'"
    )
    assert fingerprints.reason(3).startswith("the constant of its input 'given': _thread._local")
    with pytest.raises(ValueError, match="'doubled_2' has no fingerprint: it follows"):
        fingerprints.lineage(2, 0)
    assert found(chain()).reason(0) == ""


def test_hook_of_an_operation_stands_for_its_attributes() -> None:
    class Hooked(Scaled):
        def __fingerprint__(self) -> object:
            return self.factor["url"]

    assert differences(
        one(Hooked({"url": "a", "link": threading.local()}), x=1.0), one(Hooked({"url": "a"}), x=1.0)
    ) == [()]
    assert differences(one(Hooked({"url": "a"}), x=1.0), one(Hooked({"url": "b"}), x=1.0)) == [CONFIGURATION]


def test_an_object_with_every_attribute_is_no_graph() -> None:
    """As the ``col`` of polars, which makes an expression of whatever it is asked for."""
    polars = pytest.importorskip("polars")
    col = polars.col

    def late(delay: int) -> object:
        return col("delay") > delay

    graph = GraphDefinition()
    graph.add(late, delay=3)
    assert plan_fingerprints(graph.compile(), ()).all[0] is not None


def test_lineage_tells_outputs_apart() -> None:
    fingerprints = found(chain())
    lineages = {fingerprints.lineage(node, port) for node in range(4) for port in range(2)}
    assert len(lineages) == 8
    assert {len(lineage) for lineage in lineages} == {16}


def test_items_and_iterations_differ_in_their_inputs_alone() -> None:
    whole = found(chain()).of(0) or b""
    assert what_changed(whole, item(whole, 0)) == INPUTS
    assert len({item(whole, index) for index in range(100)}) == 100
    with pytest.raises(ValueError, match="48 bytes"):
        what_changed(whole, b"short")


def test_what_runs_in_the_place_of_an_operation_comes_from_it() -> None:
    parents = found(chain())
    first, second = parents.of(0) or b"", parents.of(1) or b""
    graph = GraphDefinition()
    chain()(graph)
    plan = graph.compile()
    inside = parents.child(first, plan)
    assert inside.all == child_fingerprints(first, plan).all
    other = parents.child(second, plan)
    changed = [what_changed(old or b"", new or b"") for old, new in zip(inside.all, other.all, strict=True)]
    assert changed == [INPUTS] * 4
    assert not set(inside.all) & set(parents.all)


def test_fingerprints_are_the_same_after_a_run() -> None:
    graph = GraphDefinition()
    chain(Scaled(2.0))(graph)
    before = plan_fingerprints(graph.compile()).all
    with ExecutionEngine() as engine:
        engine.run(graph).raise_if_failed()
    assert plan_fingerprints(graph.compile()).all == before

"""`graph.diff(other)`: what was added, what was removed, and what changed about the rest."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drawn_graphs import Gather, source

from execution_dataflow import (
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)


def changes(before: GraphDefinition, after: GraphDefinition, name: str = "x") -> list[tuple[str, str, str]]:
    difference = before.diff(after)
    assert difference.added == difference.removed == ()
    assert [change.operation for change in difference.changed] == [name]
    return [tuple(part) for part in difference.changed[0].changes]


def one(*operations: Operation, **inputs: Any) -> GraphDefinition:
    """A graph of one operation called x, and others before it."""
    graph = GraphDefinition("one")
    for added in operations[:-1]:
        graph.add(added)
    graph.add(operations[-1], **inputs)
    return graph


def test_equal_graphs_have_no_difference() -> None:
    def made() -> GraphDefinition:
        graph = GraphDefinition()
        graph.add(Gather(name="x"), values=[graph.add(source, value=3), 4, 5])
        graph.map(lambda item: item + 1, over=np.arange(3))
        return graph

    difference = made().diff(made())
    assert not difference
    assert str(difference) == "no difference"
    assert not made().compile().diff(made())


def test_added_and_removed_operations_are_named() -> None:
    before, after = GraphDefinition("before"), GraphDefinition("after")
    for graph, names in ((before, ("kept", "gone")), (after, ("new", "kept", "newer"))):
        for name in names:
            graph.add(source.new(name=name))
    difference = before.diff(after)
    assert (difference.added, difference.removed, difference.changed) == (("new", "newer"), ("gone",), ())
    assert str(difference) == "added: new\nadded: newer\nremoved: gone"
    assert difference


def test_constants_are_compared_by_value() -> None:
    assert changes(one(source.new(name="x"), value=1), one(source.new(name="x"), value=2)) == [
        ("constant value", "1", "2")
    ]
    assert changes(one(source.new(name="x")), one(source.new(name="x"), value=0)) == [
        ("constant value", "nothing", "0")
    ]
    nan = float("nan")
    take = operation(lambda value: value)
    assert not one(take.new(name="x"), value=nan).diff(one(take.new(name="x"), value=float("nan")))
    assert changes(one(take.new(name="x"), value=np.zeros(3)), one(take.new(name="x"), value=np.ones(3)))
    assert changes(one(take.new(name="x"), value=1), one(take.new(name="x"), value=True))


def test_channels_are_compared_by_the_names_of_their_sources() -> None:
    def made(first: str, second: str) -> GraphDefinition:
        graph = GraphDefinition()
        sources = {name: graph.add(source.new(name=name)) for name in ("a", "b")}
        graph.add(Gather(name="x"), values=[sources[first], sources[second]])
        return graph

    assert not made("a", "b").diff(made("a", "b"))
    assert changes(made("a", "b"), made("b", "a")) == [
        ("channel into values", "a.result, b.result", "b.result, a.result")
    ]


def test_order_alone_is_compared() -> None:
    def made(waits: bool) -> GraphDefinition:
        graph = GraphDefinition()
        first, last = graph.add(source.new(name="first")), graph.add(source.new(name="x"))
        if waits:
            graph.add_dependency(first, last)
        return graph

    assert changes(made(False), made(True)) == [("waits for", "nothing", "first")]


def test_options_are_compared() -> None:
    calm = source.new(name="x")
    eager = source.new(name="x", priority=3, retry_policy=RetryPolicy(max_attempts=2), timeout_seconds=5, tags=["crm"])
    assert [aspect for aspect, _, _ in changes(one(calm), one(eager))] == [
        "retry_policy",
        "priority",
        "timeout_seconds",
        "tags",
    ]
    again = source.new(name="x", priority=3, retry_policy=RetryPolicy(max_attempts=2), timeout_seconds=5, tags=["crm"])
    assert not one(eager).diff(one(again))


def test_of_options_with_parts_and_of_long_texts_what_differs_is_shown() -> None:
    calm, slow = (RetryPolicy(max_attempts=2, delay_seconds=seconds) for seconds in (1, 30))
    before, after = source.new(name="x", retry_policy=calm), source.new(name="x", retry_policy=slow)
    assert changes(one(before), one(after)) == [("retry_policy.delay_seconds", "1", "30")]
    take = operation(lambda value: value)
    texts = ["a" * 1000 + end for end in "bc"]
    ((_, was, now),) = changes(*(one(take.new(name="x"), value=text) for text in texts))
    assert (was, now) == (f"…{'a' * 20}b'", f"…{'a' * 20}c'")


def named(function: Callable[..., Any]) -> Operation:
    return operation(function).new(name="x")


def test_functions_are_compared_by_name_and_code() -> None:
    def first() -> int:
        return 1

    original = first

    def second() -> int:
        return 1

    ((aspect, before, after),) = changes(one(named(original)), one(named(second)))
    assert (aspect, before.rpartition(".")[2], after.rpartition(".")[2]) == ("function", "first", "second")

    def first() -> int:  # type: ignore[no-redef]
        return 2

    ((aspect, _, after),) = changes(one(named(original)), one(named(first)))
    assert (aspect, after) == ("code", "the same name with other code")


class Scale(Operation):
    """Has an argument."""

    def __init__(self, factor: float, *, port: type = int, **options: Any) -> None:
        super().__init__(**options)
        self.add_input_port("value", InputPort(port, optional=True))
        self.add_output_port("scaled", OutputPort(port))

    def execute(self, context: object) -> None: ...


def test_classes_arguments_and_ports_are_compared() -> None:
    assert changes(one(Scale(1, name="x")), one(Scale(2, name="x"))) == [("argument 1", "1", "2")]
    assert changes(one(Scale(1, name="x")), one(Scale(1, port=float, name="x"))) == [
        ("argument port", "nothing", "<class 'float'>"),
        ("input value", "int as InputPort(int, optional=True)", "float as InputPort(float, optional=True)"),
        ("output scaled", "int", "float"),
    ]
    aspects = [aspect for aspect, _, _ in changes(one(Scale(1, name="x")), one(Gather(name="x")))]
    assert aspects == ["class", "argument 1", "input value", "input values", "output scaled", "output total"]


def test_maps_are_compared_with_what_they_run() -> None:
    def made(attempts: int, on_error: Any = "fail") -> GraphDefinition:
        graph = GraphDefinition()
        item = source.new(retry_policy=RetryPolicy(max_attempts=attempts))
        graph.map(item, over=[1, 2], name="x", on_error=on_error)
        return graph

    assert not made(2).diff(made(2))
    assert [aspect for aspect, _, _ in changes(made(2), made(3))] == ["item retry_policy.max_attempts"]
    assert ("on_error", "'fail'", "'keep'") in changes(made(2), made(2, "keep"))


def test_a_difference_is_made_of_the_types_of_json() -> None:
    difference = one(source.new(name="x"), value=1).diff(one(source.new(name="x"), value=2))
    told = json.loads(json.dumps(difference.to_dict()))
    assert told["changed"] == [
        {"operation": "x", "changes": [{"aspect": "constant value", "before": "1", "after": "2"}]}
    ]


def test_a_large_difference_is_a_page() -> None:
    graph = GraphDefinition()
    graph.add_many(source, 1000)
    lines = str(GraphDefinition().diff(graph)).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "and 950 more added"


def test_what_constants_and_sources_of_an_input_have_in_common_is_their_order() -> None:
    def made(*order: int) -> GraphDefinition:
        graph = GraphDefinition()
        given = [5, graph.add(source.new(name="a"))]
        graph.add(Gather(name="x"), values=[given[place] for place in order])
        return graph

    assert not made(0, 1).diff(made(0, 1))
    assert changes(made(0, 1), made(1, 0)) == [("order of values", "5, a.result", "a.result, 5")]


def test_functions_are_compared_by_what_they_know_and_are_bound_to() -> None:
    def adding(count: int) -> Operation:
        return operation(lambda: count).new(name="x")

    class Adder:
        def __init__(self, count: int) -> None:
            self.count = count

        def run(self) -> int:
            return self.count

    assert not one(adding(1)).diff(one(adding(1)))
    assert changes(one(adding(1)), one(adding(2))) == [("variable count", "1", "2")]
    assert not one(named(Adder(1).run)).diff(one(named(Adder(1).run)))
    assert [aspect for aspect, _, _ in changes(one(named(Adder(1).run)), one(named(Adder(2).run)))] == ["variable self"]
    powers = [one(named(functools.partial(pow, 2, exp=exponent))) for exponent in (3, 3, 4)]
    assert not powers[0].diff(powers[1])
    assert [aspect for aspect, _, _ in changes(powers[0], powers[2])] == ["function", "input exp"]


def test_defaults_are_compared_by_value() -> None:
    def made(value: Any) -> GraphDefinition:
        def take(value: Any = value) -> None: ...

        return one(named(take))

    long, other = np.zeros(3000), np.zeros(3000)
    other[1500] = 1
    assert [aspect for aspect, _, _ in changes(made(long), made(other))] == ["input value"]
    assert not made(lambda: 1).diff(made(lambda: 1))
    assert made(lambda: 1).diff(made(lambda: 2))


def test_graph_that_a_function_of_its_own_knows_is_compared() -> None:
    def made(value: int) -> GraphDefinition:
        graph = GraphDefinition()
        graph.add(operation(lambda: len(graph.operations)).new(name="a"))
        graph.add(source.new(name="x"), value=value)
        return graph

    assert not made(1).diff(made(1))
    assert [change.operation for change in made(1).diff(made(2)).changed] == ["a", "x"]


def test_branches_made_twice_are_alike() -> None:
    def made(limit: int) -> GraphDefinition:
        graph = GraphDefinition()
        graph.switch(1, cases={"low": lambda value: value <= limit, "high": lambda value: value > limit})
        return graph

    assert not made(3).diff(made(3))
    assert made(3).diff(made(4))


class Stubborn:
    """A constant that cannot be compared or shown."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


def test_constants_that_cannot_be_compared_or_shown_are_different_objects() -> None:
    take, value = operation(lambda value: value), Stubborn()
    assert not one(take.new(name="x"), value=value).diff(one(take.new(name="x"), value=value))
    ((aspect, before, _),) = changes(one(take.new(name="x"), value=value), one(take.new(name="x"), value=Stubborn()))
    assert aspect == "constant value"
    assert before == "<Stubborn, which cannot be shown>"


@pytest.mark.parametrize("wrong", [3, None, GraphDefinition])
def test_graph_is_compared_with_graphs_alone(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^diff\(\) compares with a GraphDefinition or a Plan, not with "):
        GraphDefinition().diff(wrong)


def test_graphs_with_faults_cannot_be_compared() -> None:
    graph = GraphDefinition()
    graph.add(operation(lambda value: value))
    with pytest.raises(GraphValidationError):
        GraphDefinition().diff(graph)

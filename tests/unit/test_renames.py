"""`graph.diff(other)` finds operations that have got another name, and takes no two for one another that may differ."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from drawn_graphs import Gather, source

from execution_dataflow import GraphDefinition, operation


@operation
def load(path: str = "a") -> list[int]:
    return [1]


@operation
def clean(rows: list[int], limit: Any = 3) -> list[int]:
    return rows


@operation
def report(rows: list[int]) -> str:
    return ""


def etl(first: str = "load", second: str = "clean", **given: Any) -> GraphDefinition:
    graph = GraphDefinition("etl")
    rows = graph.add(load.new(name=first), path=given.get("path", "a"))
    tidy = graph.add(clean.new(name=second), rows=rows, limit=given.get("limit", 3))
    graph.output("told", graph.add(report.new(name="report"), rows=tidy))
    return graph


def renamed(before: GraphDefinition, after: GraphDefinition) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in before.diff(after).renamed]


def test_renamed_operation_is_neither_added_nor_removed() -> None:
    difference = etl().diff(etl(second="tidy"))
    assert difference.renamed == (("clean", "tidy"),)
    assert (difference.added, difference.removed, difference.changed, difference.interface) == ((), (), (), ())
    assert difference
    assert str(difference) == "renamed: clean -> tidy"
    assert json.loads(json.dumps(difference.to_dict()))["renamed"] == [{"before": "clean", "after": "tidy"}]


def test_neighbours_may_be_renamed_too() -> None:
    assert renamed(etl(), etl("fetch", "tidy")) == [("load", "fetch"), ("clean", "tidy")]


def test_names_may_be_exchanged() -> None:
    """Then both names are in both graphs, and it is what they stand for that has changed."""
    difference = etl("one", "other").diff(etl("other", "one"))
    assert difference.renamed == ()
    assert {change.operation for change in difference.changed} >= {"one", "other"}


def test_outputs_of_the_graph_follow() -> None:
    def made(name: str) -> GraphDefinition:
        graph = GraphDefinition()
        graph.output("rows", graph.add(load.new(name=name)))
        return graph

    difference = made("load").diff(made("fetch"))
    assert difference.interface == ()
    assert renamed(made("load"), made("fetch")) == [("load", "fetch")]


@pytest.mark.parametrize(
    "after",
    [
        etl(second="tidy", limit=4),
        etl(second="tidy", limit=3.0),
        etl(second="tidy", limit=np.zeros(3)),
        etl("fetch", "tidy", path="b", limit=4),
    ],
)
def test_other_constants_make_another_operation(after: GraphDefinition) -> None:
    difference = etl().diff(after)
    assert "clean" in difference.removed
    assert "tidy" in difference.added


def test_constants_that_are_only_compared_as_values_are() -> None:
    before, after = etl(limit=np.arange(3)), etl(second="tidy", limit=np.arange(3))
    assert renamed(before, after) == [("clean", "tidy")]
    assert renamed(before, etl(second="tidy", limit=np.arange(1, 4))) == []


def test_other_options_or_another_function_make_another_operation() -> None:
    @operation
    def tidy(rows: list[int], limit: Any = 3) -> list[int]:
        return rows

    def made(second: Any) -> GraphDefinition:
        graph = GraphDefinition()
        graph.add(report.new(name="report"), rows=graph.add(second, rows=graph.add(load)))
        return graph

    assert renamed(made(clean), made(clean.new(name="tidy"))) == [("clean", "tidy")]
    assert renamed(made(clean), made(clean.new(name="tidy", priority=2))) == []
    assert renamed(made(clean), made(tidy)) == []


def test_operation_that_feeds_something_else_is_another_one() -> None:
    def made(name: str, fed: int) -> GraphDefinition:
        graph = GraphDefinition()
        rows = graph.add(load.new(name=name))
        for number in range(2):
            graph.add(report.new(name=f"report_{number}"), **({"rows": rows} if number == fed else {"rows": [number]}))
        return graph

    difference = made("load", 0).diff(made("fetch", 1))
    assert (difference.renamed, difference.added, difference.removed) == ((), ("fetch",), ("load",))
    assert renamed(made("load", 0), made("fetch", 0)) == [("load", "fetch")]


def test_which_of_several_alike_was_renamed_is_not_guessed() -> None:
    def made(*names: str) -> GraphDefinition:
        graph = GraphDefinition()
        for name in names:
            graph.add(source.new(name=name))
        return graph

    difference = made("kept", "gone").diff(made("new", "kept", "newer"))
    assert (difference.renamed, difference.added, difference.removed) == ((), ("new", "newer"), ("gone",))
    assert renamed(made("a", "b"), made("c", "d")) == []
    assert renamed(made("kept", "gone"), made("kept", "new")) == [("gone", "new")]


def test_what_hangs_on_a_guess_is_not_paired_either() -> None:
    def made(*names: str, last: str) -> GraphDefinition:
        graph = GraphDefinition()
        graph.add(Gather(name=last), values=[graph.add(source.new(name=name)) for name in names])
        return graph

    # Which of the two sources is which cannot be told, since both are alike: so their order may have changed.
    assert renamed(made("a", "b", last="all"), made("c", "d", last="every")) == []
    assert renamed(made("a", "b", last="all"), made("a", "b", last="every")) == [("all", "every")]
    assert renamed(made("a", "b", last="all"), made("b", "a", last="every")) == []


def test_order_only_dependencies_count() -> None:
    def made(name: str, waits: bool) -> GraphDefinition:
        graph = GraphDefinition()
        first, last = graph.add(source.new(name="first")), graph.add(load.new(name=name))
        if waits:
            graph.add_dependency(first, last)
        return graph

    assert renamed(made("load", True), made("fetch", True)) == [("load", "fetch")]
    assert renamed(made("load", True), made("fetch", False)) == []


def test_nested_graph_with_another_name_renames_what_is_in_it() -> None:
    def made(name: str) -> GraphDefinition:
        inner = GraphDefinition("inner")
        inner.output("rows", inner.add(clean, rows=inner.add(load)))
        graph = GraphDefinition()
        graph.add(report, rows=graph.add(inner.as_operation(name=name)))
        return graph

    assert renamed(made("part"), made("piece")) == [("part/load", "piece/load"), ("part/clean", "piece/clean")]


@pytest.mark.parametrize("long", [True, False])
def test_thousands_of_renames_are_found_at_once(long: bool) -> None:
    def made(prefix: str) -> GraphDefinition:
        graph = GraphDefinition()
        rows: Any = [1]
        for number in range(3000):
            node = graph.add(clean.new(name=f"{prefix}{number}"), rows=rows, limit=number)
            rows = node if long else [1]
        return graph

    assert renamed(made("a"), made("b")) == [(f"a{number}", f"b{number}") for number in range(3000)]


FUNCTIONS = [clean, operation(lambda rows, limit=0: rows)]


def drawn(names: list[str], kinds: Any, feeds: list[int], limits: Any) -> GraphDefinition:
    graph = GraphDefinition()
    nodes: list[Any] = []
    for node, name in enumerate(names):
        rows = [0] if feeds[node] < 0 else nodes[feeds[node]]
        nodes.append(graph.add(FUNCTIONS[kinds[node]].new(name=name), rows=rows, limit=int(limits[node])))
    return graph


def test_every_pair_is_the_same_operation_connected_alike() -> None:
    """Random graphs with random names: a pair is never two operations that were drawn apart."""
    random = np.random.default_rng(7)
    found = 0
    for _ in range(100):
        count = int(random.integers(2, 9))
        kinds, feeds = (
            random.integers(0, 2, count),
            [int(random.integers(-1, node)) if node else -1 for node in range(count)],
        )
        limits = random.integers(0, 2, count)
        names = [f"n{node}" for node in range(count)]
        other = [f"m{node}" if random.random() < 0.4 else name for node, name in enumerate(names)]
        pairs = renamed(drawn(names, kinds, feeds, limits), drawn(other, kinds, feeds, limits))
        assert all(names.index(own) == other.index(now) for own, now in pairs)
        found += len(pairs)
        back_of = {now: own for own, now in pairs}
        back = [back_of.get(name, name) for name in other]
        rest = drawn(names, kinds, feeds, limits).diff(drawn(back, kinds, feeds, limits))
        assert not rest.renamed
        assert set(rest.removed).isdisjoint(own for own, _ in pairs)
    assert found > 50

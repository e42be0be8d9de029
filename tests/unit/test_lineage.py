"""What lies before and behind an operation, and the way between two, on graphs, drafts and plans."""

from __future__ import annotations

import pytest
from drawn_graphs import Gather, graph_of, source

from execution_dataflow import GraphDefinition, InputPort, Operation, OutputPort, UnknownOperationError

SHAPE = [[], [0], [0], [1], [3, 2], []]
NAMES = ["start", "long", "short", "longer", "end", "alone"]


@pytest.mark.parametrize("is_plan", [False, True])
def test_values_are_followed_in_both_directions(is_plan: bool) -> None:
    graph = graph_of(SHAPE, NAMES)
    view = graph.compile() if is_plan else graph
    assert view.upstream_of("end") == ("start", "long", "short", "longer")
    assert view.upstream_of(graph.operations[3]) == ("start", "long")
    assert view.downstream_of("long") == ("longer", "end")
    assert view.upstream_of("alone") == view.downstream_of("alone") == ()


def test_order_alone_is_followed_when_wanted() -> None:
    graph = graph_of(SHAPE, NAMES)
    graph.add_dependency(graph.operations[5], graph.operations[0])
    assert graph.upstream_of("long") == ("start",)
    assert graph.upstream_of("long", with_order=True) == ("alone", "start")
    assert graph.downstream_of("alone") == ()
    assert len(graph.downstream_of("alone", with_order=True)) == 5


def test_a_path_is_a_shortest_one_of_channels() -> None:
    graph = graph_of(SHAPE, NAMES)
    assert [str(step) for step in graph.path_between("start", "end")] == [
        "start.total -> short.values",
        "short.total -> end.values",
    ]
    assert graph.path_between("end", "start") == ()
    assert graph.path_between("start", "start") == ()
    assert graph.path_between("alone", "end") == ()


def test_a_nested_graph_stands_for_its_operations() -> None:
    graph = graph_of(SHAPE, ["in/start", "in/long", "short", "out/longer", "out/end", "alone"])
    assert graph.upstream_of("out") == ("in/start", "in/long", "short", "out/longer")
    assert graph.downstream_of("in") == ("in/long", "short", "out/longer", "out/end")
    assert [step.target for step in graph.path_between("in", "out")] == ["out/longer"]


class Needs(Operation):
    """Has an input that has to be connected."""

    raw = InputPort(int)
    clean = OutputPort(int)

    def execute(self, context: object) -> None: ...


def test_drafts_can_be_followed_although_they_cannot_run() -> None:
    graph = GraphDefinition()
    lonely, first, second = graph.add(Needs(name="lonely")), graph.add(Needs(name="a")), graph.add(Needs(name="b"))
    graph.connect(first, "clean", second, "raw")
    graph.connect(second, "clean", first, "raw")
    graph.add_dependency(lonely, first)
    assert set(graph.upstream_of("a")) == {"a", "b"}
    assert set(graph.downstream_of(lonely, with_order=True)) == {"a", "b"}
    assert [str(step) for step in graph.path_between("b", "a")] == ["b.clean -> a.raw"]
    assert graph.path_between("lonely", "b") == ()


def test_unknown_operations_are_refused_with_the_nearest_name() -> None:
    graph = graph_of(SHAPE, NAMES)
    with pytest.raises(UnknownOperationError, match="did you mean 'longer'"):
        graph.upstream_of("lnger")
    with pytest.raises(UnknownOperationError, match="is not an operation of shape"):
        graph.compile().downstream_of(Gather())


def test_long_chains_are_followed_to_their_end() -> None:
    graph = GraphDefinition()
    last = first = graph.add(source)
    for _ in range(50_000):
        last = graph.add(source, value=last)
    assert len(graph.upstream_of(last)) == len(graph.downstream_of(first)) == 50_000
    assert len(graph.path_between(first, last)) == 50_000

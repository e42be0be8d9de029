"""Drawings of random graphs: well-formed, complete, and laid out as a layered drawing is."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from graphlib import TopologicalSorter
from itertools import pairwise

import pytest
from drawn_graphs import READERS, graph_of, read_svg, rectangle_of, svg_groups
from hypothesis import given, settings
from hypothesis import strategies as st

from execution_dataflow.drawing.coordinates import coordinates
from execution_dataflow.drawing.labels import display_width, label_lines, printable
from execution_dataflow.drawing.layers import Segment, layered
from execution_dataflow.wiring import levels_of

NAMES = st.one_of(st.text(max_size=40), st.text('/ab_1\n"<&#;`[]{}|%-.*\\', min_size=1, max_size=12))


@st.composite
def shapes(draw: st.DrawFn) -> Sequence[Sequence[int]]:
    """The parents of each operation, all of which come before it."""
    size = draw(st.integers(0, 24))
    return [sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else [] for number in range(size)]


@st.composite
def named_shapes(draw: st.DrawFn) -> tuple[Sequence[Sequence[int]], list[str]]:
    shape = draw(shapes())
    # An empty name is none.
    names = draw(st.lists(NAMES.filter(bool), min_size=len(shape), max_size=len(shape), unique=True))
    return shape, names


def check_everything_is_drawn(language: str, shape: Sequence[Sequence[int]], names: list[str], direction: str) -> None:
    drawn = READERS[language](getattr(graph_of(shape, names), language)(direction=direction))
    assert sorted(drawn.boxes) == list(range(len(shape)))
    assert sorted(drawn.arrows) == sorted(
        (parent, number) for number, parents in enumerate(shape) for parent in parents
    )
    for number, name in enumerate(names):
        assert drawn.boxes[number].startswith("\n".join(label_lines(name.rpartition("/")[2])))


@pytest.mark.parametrize("language", ["to_svg", "to_mermaid"])
@given(named_shapes(), st.sampled_from(["TD", "LR"]))
@settings(max_examples=60)
def test_every_operation_is_one_box_and_every_channel_one_arrow(
    language: str, drawn_graph: tuple[Sequence[Sequence[int]], list[str]], direction: str
) -> None:
    check_everything_is_drawn(language, *drawn_graph, direction)


# Its parser takes long.
@given(named_shapes(), st.sampled_from(["TD", "LR"]))
@settings(max_examples=10)
def test_every_operation_is_one_node_of_dot(
    drawn_graph: tuple[Sequence[Sequence[int]], list[str]], direction: str
) -> None:
    check_everything_is_drawn("to_dot", *drawn_graph, direction)


@given(shapes(), st.sampled_from(["TD", "LR"]))
@settings(max_examples=60)
def test_arrows_lead_onwards_and_boxes_do_not_overlap(shape: Sequence[Sequence[int]], direction: str) -> None:
    text = graph_of(shape).to_svg(direction=direction)  # type: ignore[arg-type]
    boxes = [rectangle_of(group) for group in svg_groups(text, "box")]
    for number, parents in enumerate(shape):
        for parent in parents:
            before, behind = boxes[parent], boxes[number]
            if direction == "TD":
                assert before.y + before.height < behind.y
            else:
                assert before.x + before.width < behind.x
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    root = ElementTree.fromstring(text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(box.x >= -1 and box.y >= -1 for box in boxes)
    assert all(box.x + box.width <= width - 31 and box.y + box.height <= height - 31 for box in boxes)


@given(shapes(), st.integers(1, 12))
@settings(max_examples=40)
def test_collapsed_pictures_hold_every_operation_and_no_cycle(shape: Sequence[Sequence[int]], limit: int) -> None:
    drawn = read_svg(graph_of(shape).to_svg(limit=limit))
    assert len(drawn.boxes) <= limit
    levels = levels_of(len(drawn.boxes), drawn.arrows)
    assert all(levels[source] < levels[target] for source, target in drawn.arrows)


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] != pair[1]), max_size=40)


@given(EDGES)
def test_levels_respect_every_edge_that_closes_no_cycle(edges: list[tuple[int, int]]) -> None:
    levels = levels_of(12, edges)
    backwards = [(source, target) for source, target in edges if levels[source] >= levels[target]]
    if not all(source < target for source, target in edges):
        # Without the edges that lead back nothing is a cycle.
        rest = [edge for edge in edges if edge not in backwards]
        assert list(TopologicalSorter({node: [s for s, t in rest if t == node] for node in range(12)}).static_order())
    else:
        assert not backwards


@given(EDGES, st.lists(st.integers(1, 90), min_size=12, max_size=12))
@settings(max_examples=60)
def test_layers_have_each_vertex_once_and_keep_their_distances(edges: list[tuple[int, int]], widths: list[int]) -> None:
    segments = [Segment(source, target) for source, target in edges]
    layering = layered(12, segments)
    flat = [vertex for layer in layering.layers for vertex in layer]
    assert sorted(flat) == list(range(len(layering.layer_of)))
    assert all(layering.layer_of[vertex] == number for number, layer in enumerate(layering.layers) for vertex in layer)
    for number, edge in enumerate(segments):
        chain = [edge.upper, *layering.chains[number], edge.lower]
        steps = [layering.layer_of[lower] - layering.layer_of[upper] for upper, lower in pairwise(chain)]
        assert set(steps) == {1} if number not in layering.straight else steps[0] < 1
    place = coordinates(layering, widths, 20.0, 10.0)
    for layer in layering.layers:
        for left, right in pairwise(layer):
            room = 20.0 if left < 12 and right < 12 else 10.0
            halves = sum(widths[vertex] for vertex in (left, right) if vertex < 12) / 2
            assert place[right] - place[left] >= halves + room - 1e-6


@given(st.text())
def test_any_text_becomes_lines_that_fit_and_that_xml_can_carry(text: str) -> None:
    lines = label_lines(text)
    assert 1 <= len(lines) <= 3
    assert all(line and display_width(line) <= 28 for line in lines)
    element = ElementTree.Element("name")
    element.text = printable(text)
    assert ElementTree.fromstring(ElementTree.tostring(element, "utf-8")).text in (printable(text), None)

"""Drawings of results: states, times, attempts and items are in the boxes, and the worst of a box is its colour."""

from __future__ import annotations

import pytest
from drawn_graphs import READERS, Gather, read_svg, source, svg_groups

from execution_dataflow import ExecutionEngine, ExecutionResult, GraphDefinition, RetryPolicy, operation


def fail(number: int) -> int:
    raise ValueError(number)


@pytest.fixture(scope="module")
def result() -> ExecutionResult:
    graph = GraphDefinition("broken")
    good = graph.add(source.new(name="good"))
    bad = graph.add(operation(retry_policy=RetryPolicy(max_attempts=2))(fail).new(name="bad"), number=good)
    graph.add(Gather(name="after"), values=[bad])
    graph.map(lambda item: item, over=range(17), name="squares")
    return ExecutionEngine(max_workers=1, failure_policy="continue").run(graph)


@pytest.mark.parametrize("language", READERS)
def test_states_times_attempts_and_items_are_written_into_boxes(result: ExecutionResult, language: str) -> None:
    boxes = READERS[language](getattr(result, language)()).boxes
    assert boxes[0].split("\n")[2].startswith("SUCCEEDED · ")
    assert boxes[1].split("\n")[3].startswith("FAILED · ")
    assert boxes[1].endswith(" · 2 attempts")
    assert boxes[2].split("\n")[2] == "UPSTREAM_FAILED"
    assert boxes[3].endswith("17 items")


def test_states_are_colours_and_a_legend(result: ExecutionResult) -> None:
    text = result.to_svg()
    classes = [group.attrib["class"] for group in svg_groups(text, "box") if "data-box" in group.attrib]
    assert classes == [
        "box operation state-succeeded",
        "box operation state-failed",
        "box operation state-upstream_failed",
        "box map state-succeeded",
    ]
    for entry in ("2 SUCCEEDED", "1 FAILED", "1 UPSTREAM_FAILED"):
        assert f">{entry}</text>" in text
    assert "class n1 stateFailed" in result.to_mermaid()
    assert 'fillcolor="#fde5e3"' in result.to_dot()


def test_one_failure_among_many_colours_their_box() -> None:
    graph = GraphDefinition()
    for number in range(300):
        graph.add(operation(lambda number: 1 // number).new(name=f"part {number}"), number=number)
    text = ExecutionEngine(max_workers=1, failure_policy="continue").run(graph).to_svg()
    (box,) = (group for group in svg_groups(text, "box") if "data-box" in group.attrib)
    assert box.attrib["class"] == "box group state-failed"
    (lines,) = read_svg(text).boxes.values()
    assert "1 FAILED, 299 SUCCEEDED" in lines
    assert lines.endswith(" in all")


def test_what_a_failed_map_had_done_is_shown() -> None:
    graph = GraphDefinition()
    graph.map(lambda item: 1 // (3 - item), over=range(10), name="parts")
    (lines,) = read_svg(ExecutionEngine(max_workers=1).run(graph).to_svg()).boxes.values()
    assert lines.split("\n")[-1].endswith(" of 10 items")

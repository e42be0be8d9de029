"""What a person reads of a result: in a terminal, in a notebook, in a log."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from broken_graph import add_one, broken_graph, fail, give, run

from execution_dataflow import ExecutionContext, ExecutionEngine, GraphDefinition, operation
from execution_dataflow.result_text import duration_text, listed


def test_repr_is_short_and_says_what_matters() -> None:
    graph, _ = broken_graph()
    lines = repr(run(graph, failure_policy="continue")).splitlines()
    assert re.fullmatch(r"<ExecutionResult graph 'broken', run 'the-run': FAILED in .*s", lines[0])
    assert lines[1] == "  6 operations: 2 SUCCEEDED, 2 FAILED, 2 UPSTREAM_FAILED"
    assert re.fullmatch(r"  '(first|second)' failed: ValueError: bad value \d \(and 1 more\)>", lines[2])


def test_summary_has_state_counts_slowest_and_errors() -> None:
    graph, _ = broken_graph()
    text = run(graph, failure_policy="continue").summary()
    assert text.startswith("graph 'broken', run 'the-run': FAILED in ")
    assert "6 operations: 2 SUCCEEDED, 2 FAILED, 2 UPSTREAM_FAILED" in text
    assert re.search(r"slowest operations +took +waited +attempts +worker", text)
    assert re.search(r"^source +\S+ (µs|ms|s) +\S+ (µs|ms|s) +1 +0$", text, re.MULTILINE)
    assert "  1. Operation 'first' failed: ValueError" in text or "  1. Operation 'second' failed: ValueError" in text
    assert "did not run because 'first' failed: 'after', 'last'" in text


def test_summary_of_a_big_graph_is_a_page() -> None:
    graph = GraphDefinition("big")
    for number in range(300):
        graph.add((fail if number % 2 else give).new(name=f"operation-{'x' * 60}-{number}"), value=number)
    text = run(graph, failure_policy="continue").summary()
    assert len(text.splitlines()) < 40
    assert max(map(len, text.splitlines())) < 400
    assert "and 290 faster operations" in text
    assert "and 140 more" in text


class Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_escaped_and_well_formed() -> None:
    evil = "<script>alert('x')</script>&"

    @operation(name=evil)
    def load() -> int:
        raise ValueError(evil)

    graph = GraphDefinition(evil)
    graph.add(add_one.new(name=f"after {evil}"), value=graph.add(load))
    result = ExecutionEngine().run(graph, ExecutionContext(evil), failure_policy="continue")
    html = result._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    parser = Cells()
    parser.feed(html)
    assert parser.open == []
    assert parser.tags <= {
        "div",
        "p",
        "strong",
        "br",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "pre",
    }


def test_durations_and_lists_read_well() -> None:
    assert [duration_text(seconds) for seconds in (0, 0.9996, 59.96, 3600)] == [
        "0 µs",
        "1 s",
        "1 min 0 s",
        "1 h 0 min 0 s",
    ]
    assert listed([f"n{number}" for number in range(9)], 9) == "'n0', 'n1', 'n2', 'n3', 'n4' and 4 more"

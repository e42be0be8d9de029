"""Drawings of graphs: every name comes out right, every operation is there, large graphs stay small pictures."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ElementTree
from functools import cache
from pathlib import Path

import pytest
from drawn_graphs import READERS, SVG, Gather, Rectangle, graph_of, read_svg, rectangle_of, source, svg_groups

from execution_dataflow import GraphDefinition, InputPort, Operation, OutputPort, RetryPolicy, operation

# Each is trouble in one of the languages.
NAMES = [
    "end",
    "End",
    "subgraph",
    "graph",
    "default",
    'say "hello"',
    "it's",
    "a <b> & c",
    "&lt;tag&gt;",
    "#quot; #35;",
    "back\\slash\\n",
    "`backquotes`",
    "**bold** _thin_",
    "1. first",
    "2.5",
    "- item",
    "# heading",
    "%% comment %%{init}%%",
    "[[x]] (y) {z} |p|",
    "a --> b",
    "$$x$$",
    "semi;colon",
    "two\nlines",
    "tab\there",
    "naïve 読込 😀",
    "שלום",
    "{\\N}",
    " ",
    "\\",
]


@pytest.mark.parametrize("language", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_out_as_it_is(name: str, language: str) -> None:
    graph = GraphDefinition(name)
    first = graph.add(source.new(name=name))
    graph.add(Gather(name="next"), values=[first])
    drawn = READERS[language](getattr(graph, language)())
    shown = drawn.boxes[0].removesuffix("\nsource")
    assert shown == name.replace("\t", " ")
    assert drawn.boxes[1].startswith("next")
    assert drawn.arrows == [(0, 1)]


@pytest.mark.parametrize("language", READERS)
@pytest.mark.parametrize("name", ["nul\x00", "bell\x07", "lone \ud800", "not a character \ufffe", "\x85", "\u2028"])
def test_what_no_drawing_can_carry_is_replaced(name: str, language: str) -> None:
    graph = GraphDefinition(name)
    graph.add(source.new(name=name))
    text = getattr(graph, language)()
    text.encode()
    assert len(READERS[language](text).boxes) == 1


def test_a_long_name_is_clipped_and_whole_in_the_tooltip() -> None:
    graph = GraphDefinition()
    name = "x" * 100 + "17"
    graph.add(source.new(name=name))
    (box,) = svg_groups(graph.to_svg(), "box")
    assert name in (box.findtext(f"{SVG}title") or "")
    (line, _) = (text.text or "" for text in box.findall(f"{SVG}text"))
    assert len(line) <= 28
    assert line.endswith("17")


@pytest.mark.parametrize("language", READERS)
def test_labels_say_which_ports_where_that_is_not_clear(language: str) -> None:
    @operation(outputs=("low", "high"))
    def limits(values: int) -> tuple[int, int]:
        return values, values

    @operation
    def span(first: int, second: int) -> int:
        return second - first

    graph = GraphDefinition()
    ends = graph.add(limits, values=graph.add(source))
    graph.add(span, first=ends["low"], second=ends["high"])
    assert READERS[language](getattr(graph, language)()).labels == ["low → first, high → second"]


@pytest.mark.parametrize("language", READERS)
def test_boxes_say_what_is_special_about_an_operation(language: str) -> None:
    async def fetch(page: int) -> str:
        return str(page)

    graph = GraphDefinition()
    pages = graph.map(operation(retry_policy=RetryPolicy(max_attempts=4), timeout_seconds=30)(fetch), over=[1, 2])
    graph.add(operation(executor="process", always_run=True)(len).new(name="how many"), obj=pages)
    drawn = READERS[language](getattr(graph, language)())
    assert drawn.boxes[0].split("\n") == ["fetch", "for each of page", "async · 4 attempts · ≤ 30 s"]
    assert drawn.boxes[1].split("\n") == ["how many", "len", "process · always runs"]


@pytest.mark.parametrize("language", READERS)
def test_an_empty_graph_is_an_empty_drawing(language: str) -> None:
    assert READERS[language](getattr(GraphDefinition("empty"), language)()).boxes == {}


def test_dependencies_without_data_are_dashed() -> None:
    graph = GraphDefinition()
    first, second = graph.add(source), graph.add(source)
    graph.add_dependency(first, second)
    assert [group.attrib["class"] for group in svg_groups(graph.to_svg(), "arrow")] == ["arrow order"]
    assert "n0 -.-> n1" in graph.to_mermaid()
    assert 'n0 -> n1 [tooltip="1 dependency without data", style=dashed];' in graph.to_dot()


class Needs(Operation):
    """Has an input that has to be connected."""

    raw = InputPort(int)
    clean = OutputPort(int)

    def execute(self, context: object) -> None: ...


@pytest.mark.parametrize("language", READERS)
def test_a_graph_with_faults_is_drawn_with_them(language: str) -> None:
    graph = GraphDefinition("draft")
    graph.add(Needs(name="lonely"))
    first, second = graph.add(Needs(name="one.x")), graph.add(Needs(name="two"))
    graph.connect(first, "clean", second, "raw")
    graph.connect(second, "clean", first, "raw")
    text = getattr(graph, language)()
    drawn = READERS[language](text)
    assert drawn.boxes[0] == "lonely\nNeeds\nmissing: raw"
    assert sorted(drawn.arrows) == [(1, 2), (2, 1)]
    marks = {"to_svg": 'class="arrow fault"', "to_mermaid": "linkStyle 0,1 ", "to_dot": "penwidth=2"}
    assert marks[language] in text


def nested_graph() -> GraphDefinition:
    graph = GraphDefinition("nested")
    start = graph.add(source.new(name="start"))
    inner = graph.add(Gather(name="clean/parse"), values=[start])
    deep = graph.add(Gather(name="clean/check/types"), values=[inner])
    graph.add(Gather(name="clean/check/rows"), values=[deep])
    graph.add(Gather(name="store"), values=[deep, start])
    return graph


@pytest.mark.parametrize("language", READERS)
def test_nested_graphs_are_frames_or_boxes_by_depth(language: str) -> None:
    graph = nested_graph()

    def drawn(depth: int | None) -> tuple[list[str], list[str]]:
        found = READERS[language](getattr(graph, language)(depth=depth))
        return sorted(text.split("\n")[0] for text in found.boxes.values()), sorted(found.frames)

    everything = ["parse", "rows", "start", "store", "types"], ["check", "clean"]
    assert drawn(None) == drawn(2) == drawn(7) == everything
    assert drawn(1) == (["check", "parse", "start", "store"], ["clean"])
    assert drawn(0) == (["clean", "start", "store"], [])


@pytest.mark.parametrize("direction", ["TD", "LR"])
def test_frames_hold_their_boxes_and_no_others(direction: str) -> None:
    text = nested_graph().to_svg(direction=direction)  # type: ignore[arg-type]
    boxes = [rectangle_of(group) for group in svg_groups(text, "box")]
    clean, check = (rectangle_of(group) for group in svg_groups(text, "frame"))
    assert [clean.contains(box) for box in boxes] == [False, True, True, True, False]
    assert [check.contains(box) for box in boxes] == [False, False, True, True, False]
    assert clean.contains(check)
    assert not any(clean.overlaps(boxes[number]) for number in (0, 4))
    assert not check.overlaps(boxes[1])
    for group in svg_groups(text, "frame"):
        title = group.findall(f"{SVG}text")[0]
        at = Rectangle(float(title.attrib["x"]), float(title.attrib["y"]) - 10, 6.0 * len(title.text or ""), 12)
        assert rectangle_of(group).contains(at)
        assert not any(at.overlaps(box) for box in boxes)


def test_a_nested_graph_of_many_operations_is_one_box_with_its_kinds() -> None:
    graph = GraphDefinition()
    for number in range(300):
        graph.add(source.new(name=f"load/part {number}"))
    drawn = read_svg(graph.to_svg())
    assert list(drawn.boxes.values()) == ["load\n300 operations\n300 × source"]


@cache
def ten_thousand(shape: str) -> GraphDefinition:
    graph = GraphDefinition(shape)
    if shape == "wide":
        first = graph.add_many(source, 5000)
        graph.add(Gather(), values=list(first))
        graph.add_many(source, value=first[:4999])
    elif shape == "chain":
        last = graph.add(source)
        for _ in range(9999):
            last = graph.add(source, value=last)
    elif shape == "kinds":
        for kind in [operation(name=f"kind_{number}")(lambda: 0) for number in range(500)]:
            graph.add_many(kind, 20)
    else:
        for number in range(10_000):
            graph.add(source.new(name=f"{number // 1000}/{number // 20}/{number}"))
    return graph


@pytest.mark.parametrize("shape", ["wide", "chain", "kinds", "nested"])
def test_a_graph_of_ten_thousand_operations_is_a_picture_of_few_boxes(shape: str) -> None:
    graph = ten_thousand(shape)
    graph.compile()
    began = time.thread_time()
    text = graph.to_svg()
    # A tenth of it is usual.
    assert time.thread_time() - began < 2.0
    drawn = read_svg(text)
    assert 1 <= len(drawn.boxes) <= 200
    assert len(text) < 200_000
    assert "10,000 operations, drawn as " in text
    counts = [re.search(r"([\d,]+) operations?", box) for box in drawn.boxes.values()]
    assert sum(int(count[1].replace(",", "")) if count else 1 for count in counts) == 10_000


def test_operations_of_one_kind_on_one_level_share_a_box() -> None:
    drawn = read_svg(ten_thousand("wide").to_svg())
    assert list(drawn.boxes.values()) == ["source\n5,000 operations", "Gather", "source\n4,999 operations"]
    assert drawn.arrows == [(0, 1), (0, 2)]
    assert sorted(drawn.labels) == ["× 4,999", "× 5,000"]


def test_deep_graphs_are_bands_of_levels() -> None:
    drawn = read_svg(ten_thousand("chain").to_svg(limit=10))
    assert drawn.boxes[0] == "levels 0–1,999\n2,000 operations\n2,000 × source"
    assert drawn.arrows == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("shape", ["wide", "chain", "kinds", "nested"])
def test_there_are_never_more_boxes_than_wanted(shape: str, limit: int) -> None:
    assert 1 <= len(read_svg(ten_thousand(shape).to_svg(limit=limit)).boxes) <= limit


def test_mermaid_gets_no_more_than_it_reads() -> None:
    graph = GraphDefinition("dense")
    first = [graph.add(Gather(name=f"left {number} {'x' * 30}")) for number in range(60)]
    for number in range(60):
        graph.add(Gather(name=f"right {number} {'y' * 30}"), values=first)
    text = graph.to_mermaid()
    drawn = READERS["to_mermaid"](text)
    assert len(text) < 50_000
    assert len(drawn.arrows) <= 500
    assert len(read_svg(graph.to_svg()).arrows) == 3600


@pytest.mark.parametrize(("depth", "name"), [(200, "level"), (3, "-" * 20_000)])
def test_mermaid_gets_no_more_frames_than_it_reads(depth: int, name: str) -> None:
    graph = GraphDefinition("inner")
    graph.add(lambda: 0)
    for level in range(depth):
        inner, graph = graph, GraphDefinition(f"{name}{level}")
        graph.add(inner)
    text = graph.to_mermaid()
    assert len(text) < 50_000
    assert len(READERS["to_mermaid"](text).boxes) == 1
    slashes = GraphDefinition("slashes")
    slashes.add((operation(name="/".join(["inner"] * 300)))(lambda: 0))
    assert len(slashes.to_mermaid()) < 50_000


def test_arrows_that_others_imply_are_left_out_of_dense_pictures() -> None:
    graph = graph_of([list(range(number)) for number in range(40)])
    text = graph.to_svg()
    assert read_svg(text).arrows == [(number, number + 1) for number in range(39)]
    assert "741 arrows left out" in text


def test_an_svg_is_self_contained_and_tells_what_it_is() -> None:
    graph = nested_graph()
    root = ElementTree.fromstring(graph.to_svg())
    assert root.tag == f"{SVG}svg"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "nested"
    assert root.findtext(f"{SVG}title") == "nested"
    assert root.findtext(f"{SVG}desc") == "A graph of 5 operations, with 5 arrows between them."
    text = graph.to_svg()
    assert not re.search(r"\bid=|href|url\(|<script|@import", text), "nothing that clashes or is loaded"


def test_themes_are_for_light_and_dark_ground() -> None:
    graph = nested_graph()
    assert "prefers-color-scheme: dark" in graph.to_svg()
    light, dark = graph.to_svg(theme="light"), graph.to_svg(theme="dark")
    assert "prefers-color-scheme" not in light + dark
    assert "#ffffff" in light
    assert "#ffffff" not in dark


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("is_dark", [False, True])
def test_texts_can_be_read_on_their_boxes(is_dark: bool) -> None:
    from execution_dataflow.drawing.palette import colours_of
    from execution_dataflow.states import OperationState

    for state in (None, *OperationState):
        colours = colours_of(state, is_dark=is_dark)
        low, high = sorted((luminance(colours.fill), luminance(colours.text)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, state


def test_drawings_can_be_saved_and_shown_in_notebooks(tmp_path: Path) -> None:
    graph = nested_graph()
    saved = graph.to_svg().save(tmp_path / "graph.svg")
    assert saved.read_text(encoding="utf-8") == graph.to_svg()
    assert graph._repr_html_().startswith("<div")
    assert graph.compile()._repr_html_() == graph._repr_html_()
    assert graph.to_mermaid()._repr_markdown_().startswith("```mermaid\nflowchart TD\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit=0 is not possible"),
        ({"limit": 2.5}, "limit is the largest number of boxes"),
        ({"depth": -1}, "depth=-1 is not possible"),
        ({"depth": "2"}, "depth says how deep"),
        ({"direction": "up"}, "direction='up' is not possible"),
        ({"theme": "pink"}, "theme='pink' is not possible"),
    ],
)
def test_options_without_meaning_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        nested_graph().to_svg(**options)  # type: ignore[arg-type]


def test_chains_are_straight_and_what_feeds_several_lies_above_their_middle() -> None:
    graph = graph_of([[], [0], [0], [0], [2], [4]], ["top", "left", "mid", "right", "low", "lower"])
    middles = [box.x + box.width / 2 for box in map(rectangle_of, svg_groups(graph.to_svg(), "box"))]
    top, left, mid, right, low, lower = middles
    assert left < mid < right
    assert [top, low, lower] == pytest.approx([mid, mid, mid], abs=1)
    assert mid == pytest.approx((left + right) / 2, abs=4)

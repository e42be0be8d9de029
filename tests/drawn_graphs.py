"""Graphs to draw, and readers of drawings: each reads one language as its own programs do, and says what is drawn."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from execution_dataflow import GraphDefinition, InputPort, Operation, OutputPort, operation

SVG = "{http://www.w3.org/2000/svg}"


@operation
def source(value: int = 0) -> int:
    return value


class Gather(Operation):
    """Takes any number of values."""

    values = InputPort(int, many=True, optional=True)
    total = OutputPort(int)

    def execute(self, context: Any) -> None:
        self.total = sum(self.values)


def graph_of(shape: Sequence[Sequence[int]], names: Sequence[str | None] = ()) -> GraphDefinition:
    """A graph of operations that gather from those before them."""
    graph = GraphDefinition("shape")
    operations: list[Operation] = []
    for number, parents in enumerate(shape):
        name = names[number] if number < len(names) else None
        operations.append(graph.add(Gather(name=name), values=[operations[parent] for parent in parents]))
    return graph


@dataclass
class Drawn:
    """What a reader found: for each box its text, each arrow, and the titles of frames."""

    boxes: dict[int, str] = field(default_factory=dict)
    arrows: list[tuple[int, int]] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


@dataclass
class Rectangle:
    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Rectangle) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def contains(self, other: Rectangle) -> bool:
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.width <= self.x + self.width
            and other.y + other.height <= self.y + self.height
        )


def rectangle_of(element: ElementTree.Element) -> Rectangle:
    shape = element.findall(f"{SVG}rect")[-1]
    return Rectangle(*(float(shape.attrib[name]) for name in ("x", "y", "width", "height")))


def svg_groups(text: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(text)
    return [group for group in root.iter(f"{SVG}g") if kind in group.attrib.get("class", "").split()]


def read_svg(text: str) -> Drawn:
    drawn = Drawn()
    for group in svg_groups(text, "box"):
        if "data-box" in group.attrib:
            lines = [line.text or "" for line in group.findall(f"{SVG}text")]
            drawn.boxes[int(group.attrib["data-box"])] = "\n".join(lines)
    for group in svg_groups(text, "arrow"):
        drawn.arrows.append((int(group.attrib["data-from"]), int(group.attrib["data-to"])))
    drawn.frames = [group.findtext(f"{SVG}text") or "" for group in svg_groups(text, "frame")]
    root = ElementTree.fromstring(text)
    drawn.labels = [label.text or "" for label in root.iter(f"{SVG}text") if label.attrib.get("class") == "label"]
    return drawn


# What Mermaid takes for a quoted text: no quote within, and no backquote at its beginning.
_TEXT = r'"(?P<text>(?!`)[^"]*)"'
_NODE = re.compile(
    rf"n(?P<id>\d+)(?:\[{_TEXT}\]|\(\[{_TEXT.replace('text', 'round')}\]\)|\[\[{_TEXT.replace('text', 'sub')}\]\])"
)
_ARROW = re.compile(r'n(?P<source>\d+) (?:-->|-\.->)(?:\|"(?P<label>[^"]*)"\|)? n(?P<target>\d+)')
_SUBGRAPH = re.compile(rf"subgraph s\d+\[{_TEXT}\]")
_STYLE = re.compile(
    r"classDef \w+ [\w:#,\-]+|class n\d+(,n\d+)* \w+|linkStyle \d+(,\d+)* [\w:#,\-]+"
    r"|acc(Title|Descr): [^{}#;%]+|%% [^{}]*"
)
_LIST_OR_HEADING = re.compile(r"\s*([-*+#>]|\d+[.)])(\s|$)")


def read_mermaid(text: str) -> Drawn:
    """Read the lines that we write of a flowchart, and refuse all others."""
    drawn, depth = Drawn(), 0
    first, *lines = text.splitlines()
    assert first in ("flowchart TD", "flowchart LR")
    for line in map(str.strip, lines):
        if match := _NODE.fullmatch(line):
            written = match["text"] or match["round"] or match["sub"] or ""
            # Labels are read as Markdown before entities are.
            assert not any(_LIST_OR_HEADING.match(part) for part in written.split("<br/>")), written
            drawn.boxes[int(match["id"])] = unescaped(written)
        elif match := _ARROW.fullmatch(line):
            drawn.arrows.append((int(match["source"]), int(match["target"])))
            drawn.labels += [unescaped(match["label"])] if match["label"] else []
        elif match := _SUBGRAPH.fullmatch(line):
            drawn.frames.append(unescaped(match["text"]))
            depth += 1
        elif line == "end":
            depth -= 1
            assert depth >= 0
        else:
            assert _STYLE.fullmatch(line), f"no line of a flowchart: {line!r}"
    assert depth == 0
    return drawn


def unescaped(text: str) -> str:
    assert not re.search(r"[<>&]", text.replace("<br/>", ""))
    text = text.replace("<br/>", "\n")
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)


def read_dot(text: str) -> Drawn:
    """Read with a parser of the language that is not ours."""
    import html

    import pydot

    def plain(value: str) -> str:
        assert value.startswith('"')
        assert value.endswith('"')
        unquoted = re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value[1:-1], flags=re.DOTALL)
        return html.unescape(unquoted)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pydot calls its own parser by old names
        graphs = pydot.graph_from_dot_data(text)
    assert graphs is not None
    (graph,) = graphs
    drawn = Drawn()
    waiting = [graph]
    while waiting:
        part = waiting.pop()
        for node in part.get_nodes():
            if node.get_name() not in ("graph", "node", "edge"):
                number = int(node.get_name().removeprefix("n"))
                assert number not in drawn.boxes
                drawn.boxes[number] = plain(node.get("label"))
        for edge in part.get_edges():
            ends = edge.get_source(), edge.get_destination()
            drawn.arrows.append((int(ends[0].removeprefix("n")), int(ends[1].removeprefix("n"))))
            drawn.labels += [plain(edge.get("label"))] if edge.get("label") else []
        for inner in part.get_subgraphs():
            drawn.frames.append(plain(inner.get("label")))
            waiting.append(inner)
    return drawn


READERS = {"to_svg": read_svg, "to_mermaid": read_mermaid, "to_dot": read_dot}

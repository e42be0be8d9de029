"""Pictures in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator

from execution_dataflow.drawing.palette import colours_of
from execution_dataflow.drawing.picture import Arrow, Box, Direction, Picture
from execution_dataflow.states import OperationState

__all__ = ["dot_text"]

_RANK_DIRECTIONS = {"TD": "TB", "LR": "LR"}


def dot_text(picture: Picture, direction: Direction) -> str:
    """Return a picture in the DOT language.

    Parameters
    ----------
    picture : Picture
        What is shown.
    direction : {"TD", "LR"}
        Which way data flows.

    Returns
    -------
    str
        One ``digraph``; nested graphs are clusters.
    """
    plain = colours_of(None)
    lines = [
        f"digraph {_quoted(picture.title)} {{",
        f"    graph [rankdir={_RANK_DIRECTIONS[direction]}, tooltip={_quoted(picture.description)}, "
        'fontname="sans-serif", fontsize=11, style=dashed];',
        f'    node [shape=box, style="filled,rounded", fontname="sans-serif", fontsize=11, color="{plain.stroke}", '
        f'fillcolor="{plain.fill}", fontcolor="{plain.text}"];',
        f'    edge [fontname="sans-serif", fontsize=9, color="{plain.stroke}"];',
    ]
    children: dict[int, list[int]] = {}
    for number, frame in enumerate(picture.frames):
        children.setdefault(frame.parent, []).append(number)
    members: dict[int, list[int]] = {}
    for number, box in enumerate(picture.boxes):
        members.setdefault(box.frame, []).append(number)
    lines += _content(picture, -1, children, members, "    ")
    lines += [f"    {_arrow(arrow)}" for arrow in picture.arrows]
    below = [", ".join(f"{count:,} {state.name}" for state, count in picture.legend), *picture.notes]
    caption = "\n".join(line for line in below if line)
    if caption:
        lines.append(f"    label={_quoted(caption)};")
    return "\n".join([*lines, "}", ""])


def _content(
    picture: Picture, frame: int, children: dict[int, list[int]], members: dict[int, list[int]], indent: str
) -> Iterator[str]:
    for number in members.get(frame, ()):
        yield f"{indent}{_box(number, picture.boxes[number])}"
    for number in children.get(frame, ()):
        yield f"{indent}subgraph cluster_{number} {{"
        yield f"{indent}    label={_quoted(picture.frames[number].title)};"
        yield from _content(picture, number, children, members, f"{indent}    ")
        yield f"{indent}}}"


def _box(number: int, box: Box) -> str:
    options = [f"label={_quoted(chr(10).join((*box.lines, *box.details)))}", f"tooltip={_quoted(box.tooltip)}"]
    if box.shape in ("map", "group", "nested"):
        options.append("peripheries=2")
    elif box.shape == "parameter":
        options.append("shape=ellipse")
    if box.state is not None:
        colours = colours_of(box.state)
        options.append(f'color="{colours.stroke}", fillcolor="{colours.fill}", fontcolor="{colours.text}"')
    if box.has_fault:
        options.append(f'color="{colours_of(OperationState.FAILED).stroke}", penwidth=2')
    return f"n{number} [{', '.join(options)}];"


def _arrow(arrow: Arrow) -> str:
    options = [f"label={_quoted(arrow.label)}"] if arrow.label else []
    options += [f"tooltip={_quoted(arrow.tooltip)}"] if arrow.tooltip else []
    options += ["style=dashed"] if arrow.is_order else []
    if arrow.has_fault:
        options.append(f'color="{colours_of(OperationState.FAILED).stroke}", penwidth=2')
    return f"n{arrow.source} -> n{arrow.target}" + (f" [{', '.join(options)}];" if options else ";")


def _quoted(text: str) -> str:
    """Return a text as a quoted string: backslashes begin escapes there, and ampersands entities."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + text.replace("\n", "\\n") + '"'

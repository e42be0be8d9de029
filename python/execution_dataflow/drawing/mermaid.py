"""Pictures in Mermaid's flowchart language, which GitHub, GitLab and notebooks show inside Markdown.

Everything that Mermaid could take for something else is written as an entity code, ``#34;`` for a quote; nodes have
plain numbers for names, so that words such as ``end`` are only ever text.
"""

from __future__ import annotations

from collections.abc import Iterator

from execution_dataflow.drawing.labels import clipped
from execution_dataflow.drawing.palette import colours_of
from execution_dataflow.drawing.picture import Arrow, Box, Direction, Picture
from execution_dataflow.states import OperationState

__all__ = ["MOST_ARROWS", "MOST_CHARACTERS", "mermaid_text"]

MOST_CHARACTERS = 50_000
"""What Mermaid reads: its option ``maxTextSize``, which a diagram cannot change."""

MOST_ARROWS = 500
"""How many edges Mermaid draws: its option ``maxEdges``, which a diagram cannot change."""

_SHAPES = {
    "operation": ("[", "]"),
    "parameter": ("([", "])"),
    "map": ("[[", "]]"),
    "nested": ("[[", "]]"),
    "group": ("[[", "]]"),
}
# What is wider says no more in a picture.
_FRAME_WIDTH, _LINE_WIDTH, _MOST_INDENT = 80, 500, 40
_PLAIN = frozenset(" ,()/=·×≤–…→")


def mermaid_text(picture: Picture, direction: Direction) -> str:
    """Return a picture as a Mermaid flowchart.

    Parameters
    ----------
    picture : Picture
        What is shown.
    direction : {"TD", "LR"}
        Which way data flows.

    Returns
    -------
    str
        Lines, the first of which is ``flowchart TD`` or ``flowchart LR`` behind a title.
    """
    lines = [f"flowchart {direction}", f"    accTitle: {_one_line(picture.title)}"]
    lines.append(f"    accDescr: {_one_line(picture.description)}")
    children: dict[int, list[int]] = {}
    for number, frame in enumerate(picture.frames):
        children.setdefault(frame.parent, []).append(number)
    members: dict[int, list[int]] = {}
    for number, box in enumerate(picture.boxes):
        members.setdefault(box.frame, []).append(number)
    lines += _content(picture, -1, children, members, "    ")
    lines += [f"    {_arrow(arrow)}" for arrow in picture.arrows]
    faulty = [str(number) for number, arrow in enumerate(picture.arrows) if arrow.has_fault]
    bad = colours_of(OperationState.FAILED)
    if faulty:
        lines.append(f"    linkStyle {','.join(faulty)} stroke:{bad.stroke},stroke-width:2px")
    lines += _classes(picture)
    lines += [f"    %% {_one_line(note)}" for note in picture.notes]
    return "\n".join(lines) + "\n"


def _content(
    picture: Picture, frame: int, children: dict[int, list[int]], members: dict[int, list[int]], indent: str
) -> Iterator[str]:
    for number in members.get(frame, ()):
        yield f"{indent}{_box(number, picture.boxes[number])}"
    for number in children.get(frame, ()):
        yield f'{indent}subgraph s{number}["{_escaped(clipped(picture.frames[number].title, _FRAME_WIDTH))}"]'
        yield from _content(picture, number, children, members, f"{indent}    "[:_MOST_INDENT])
        yield f"{indent}end"


def _box(number: int, box: Box) -> str:
    before, behind = _SHAPES[box.shape]
    text = "<br/>".join(_escaped(line) for line in (*box.lines, *box.details))
    return f'n{number}{before}"{text}"{behind}'


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.is_order else "-->"
    label = f'|"{_escaped(arrow.label)}"|' if arrow.label else ""
    return f"n{arrow.source} {line}{label} n{arrow.target}"


def _classes(picture: Picture) -> list[str]:
    of_class: dict[str, list[str]] = {}
    for number, box in enumerate(picture.boxes):
        if box.state is not None:
            of_class.setdefault(f"state{box.state.name.title().replace('_', '')}", []).append(f"n{number}")
        if box.has_fault:
            of_class.setdefault("fault", []).append(f"n{number}")
    looks = {"fault": f"stroke:{colours_of(OperationState.FAILED).stroke},stroke-width:2px"}
    for state in OperationState:
        colours = colours_of(state)
        looks[f"state{state.name.title().replace('_', '')}"] = (
            f"fill:{colours.fill},stroke:{colours.stroke},color:{colours.text}"
        )
    lines = []
    for name, nodes in of_class.items():
        lines += [f"    classDef {name} {looks[name]}", f"    class {','.join(nodes)} {name}"]
    return lines


def _escaped(text: str) -> str:
    """Return a text with everything that is no letter, digit or harmless sign as an entity code.

    Signs that begin a list or emphasis in Markdown are among those: Mermaid reads labels as Markdown.
    """
    return "".join(
        character if _is_plain(text, place) else f"#{ord(character)};" for place, character in enumerate(text)
    )


def _is_plain(text: str, place: int) -> bool:
    character = text[place]
    if character.isalnum() or character in _PLAIN:
        return True
    if not 0 < place < len(text) - 1:
        return False
    # Within a word: load_rows, clean-up; a number with a point behind it begins a list.
    before, behind = text[place - 1], text[place + 1]
    if character in "_-":
        return before.isalnum() and behind.isalnum()
    return character == "." and before.isalnum() and behind.isalnum() and not text[:place].isdigit()


def _one_line(text: str) -> str:
    """Return a text for a comment or a title, which ends with the line and may hold no brace that opens a directive."""
    text = "".join(character if character not in "{}%#;\n\t" else " " for character in text).strip()
    return clipped(text, _LINE_WIDTH) or "-"

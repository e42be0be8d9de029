"""Drawings as texts that notebooks show as pictures."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from execution_dataflow.drawing.collapse import checked_depth, checked_limit
from execution_dataflow.drawing.depiction import depict
from execution_dataflow.drawing.dot import dot_text
from execution_dataflow.drawing.mermaid import MOST_ARROWS, MOST_CHARACTERS, mermaid_text
from execution_dataflow.drawing.outcomes import Outcomes
from execution_dataflow.drawing.palette import checked_theme
from execution_dataflow.drawing.picture import Picture, checked_direction, deepest_frame
from execution_dataflow.drawing.svg import svg_text
from execution_dataflow.wiring import Wiring

__all__ = ["Dot", "Drawing", "Mermaid", "Svg", "draw_dot", "draw_mermaid", "draw_svg"]


class Drawing(str):
    """A drawing of a graph: the text itself, which can be saved."""

    __slots__ = ()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the drawing into a file.

        Parameters
        ----------
        path : path
            The file; what it held before is replaced.

        Returns
        -------
        pathlib.Path
            The file.
        """
        file = Path(path)
        file.write_text(self, encoding="utf-8", newline="\n")
        return file


class Svg(Drawing):
    """A drawing as SVG, which notebooks show."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto;max-height:48em">{self}</div>'


class Mermaid(Drawing):
    """A drawing as a Mermaid flowchart, which notebooks show where they know the language."""

    __slots__ = ()

    def _repr_markdown_(self) -> str:
        return f"```mermaid\n{self}```\n"


class Dot(Drawing):
    """A drawing in the DOT language of Graphviz."""

    __slots__ = ()


def draw_svg(
    wiring: Wiring,
    outcomes: Outcomes | None = None,
    *,
    depth: int | None = None,
    limit: int = 200,
    direction: str = "TD",
    theme: str = "auto",
) -> Svg:
    """Return a graph as SVG; the options are those of ``GraphDefinition.to_svg``."""
    towards, ground = checked_direction(direction), checked_theme(theme)
    return Svg(svg_text(_picture(wiring, outcomes, depth, limit), direction=towards, theme=ground))


def draw_dot(
    wiring: Wiring,
    outcomes: Outcomes | None = None,
    *,
    depth: int | None = None,
    limit: int = 200,
    direction: str = "TD",
) -> Dot:
    """Return a graph in the DOT language; the options are those of ``GraphDefinition.to_dot``."""
    towards = checked_direction(direction)
    return Dot(dot_text(_picture(wiring, outcomes, depth, limit), towards))


def draw_mermaid(
    wiring: Wiring,
    outcomes: Outcomes | None = None,
    *,
    depth: int | None = None,
    limit: int = 200,
    direction: str = "TD",
) -> Mermaid:
    """Return a graph as a Mermaid flowchart; the options are those of ``GraphDefinition.to_mermaid``.

    What would be more than Mermaid reads is drawn with fewer boxes, or with fewer frames around them.
    """
    towards = checked_direction(direction)
    while True:
        picture = _picture(wiring, outcomes, depth, limit)
        text = mermaid_text(picture, towards)
        opened = deepest_frame(picture)
        is_least = limit == 1 and opened == 0
        if is_least or (len(text) < MOST_CHARACTERS and len(picture.arrows) <= MOST_ARROWS):
            return Mermaid(text)
        if opened and (limit == 1 or len(picture.frames) > len(picture.boxes)):
            depth = opened * 3 // 4
        else:
            limit = max(min(limit, len(picture.boxes)) * 3 // 4, 1)


def _picture(wiring: Wiring, outcomes: Outcomes | None, depth: int | None, limit: int) -> Picture:
    return depict(wiring, depth=checked_depth(depth), limit=checked_limit(limit), outcomes=outcomes)

"""What a drawing shows, whatever language it is written in: boxes, arrows, frames around nested graphs, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from execution_dataflow.states import OperationState

__all__ = ["Arrow", "Box", "Direction", "Frame", "Picture", "Shape", "checked_direction", "deepest_frame"]

Shape: TypeAlias = Literal["operation", "parameter", "map", "nested", "group"]
"""What a box stands for: one operation, an input of the graph, a map, a nested graph, or several operations."""

Direction: TypeAlias = Literal["TD", "LR"]
"""Whether data flows from top to bottom or from left to right."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Parameters
    ----------
    lines : tuple of str
        Its name.
    details : tuple of str
        What is written under it.
    tooltip : str
        What it is in full.
    shape : str
        What it stands for.
    frame : int
        The frame that it lies in, or -1.
    count : int
        How many operations it stands for.
    state : OperationState, optional
        Of several operations, the one that matters most.
    has_fault : bool
        Whether something is missing.
    """

    lines: tuple[str, ...]
    details: tuple[str, ...]
    tooltip: str
    shape: Shape = "operation"
    frame: int = -1
    count: int = 1
    state: OperationState | None = None
    has_fault: bool = False


@dataclass(frozen=True, slots=True)
class Arrow:
    """What leads from one box to another.

    Parameters
    ----------
    source, target : int
        The boxes.
    label : str
        What is written at it, where it is not clear without.
    tooltip : str
        What it is in full.
    is_order : bool
        Whether there is no data in it.
    has_fault : bool
        Whether it is part of a cycle.
    """

    source: int
    target: int
    label: str = ""
    tooltip: str = ""
    is_order: bool = False
    has_fault: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What is drawn around the boxes of a nested graph.

    Parameters
    ----------
    title : str
        Its name.
    parent : int
        The frame that it lies in, or -1; it comes before this one.
    """

    title: str
    parent: int = -1


@dataclass(frozen=True, slots=True)
class Picture:
    """A whole drawing.

    Parameters
    ----------
    title : str
        The name of the graph.
    description : str
        What somebody is told who cannot see it.
    boxes : sequence of Box
        The boxes.
    arrows : sequence of Arrow
        What leads from one box to another; each pair comes once.
    frames : sequence of Frame
        The nested graphs that are not collapsed.
    legend : sequence of (OperationState, int)
        How many operations are in each state, after a run.
    notes : sequence of str
        What is written under it.
    """

    title: str
    description: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow] = ()
    frames: Sequence[Frame] = ()
    legend: Sequence[tuple[OperationState, int]] = ()
    notes: Sequence[str] = ()


def deepest_frame(picture: Picture) -> int:
    """Return how many frames lie in one another at most."""
    depths: list[int] = []
    for frame in picture.frames:
        depths.append(1 if frame.parent < 0 else depths[frame.parent] + 1)
    return max(depths, default=0)


def checked_direction(direction: object) -> Direction:
    """Return a direction, or raise an error that says what it may be."""
    if direction == "TD":
        return "TD"
    if direction == "LR":
        return "LR"
    raise ValueError(f"direction={direction!r} is not possible: 'TD' for top-down, or 'LR' for left to right")

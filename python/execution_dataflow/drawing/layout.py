"""Where everything lies: each frame as a layered drawing of its own, and as one large box of the frame around it.

Arrows that leave a frame or come into it pass its border at a place of their own, which is a vertex on the frame's
first or last layer. Coordinates are *across* and *along* the flow of data, so that one layout serves both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from execution_dataflow.drawing.coordinates import coordinates
from execution_dataflow.drawing.layers import Segment, layered
from execution_dataflow.drawing.picture import Picture

__all__ = ["Layout", "Place", "arranged"]

_GAP = 28.0
_DUMMY_GAP = 14.0
_LAYER_GAP = 46.0
# How far apart arrows meet a box, and how far from its corners.
_SPREAD, _CORNER = 22.0, 14.0
_PADDING = 16.0
_ROOT = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box or a frame lies: its first corner and its size."""

    across: float
    along: float
    width: float
    length: float

    def moved(self, across: float, along: float) -> Place:
        """Return the same place somewhere else."""
        return Place(self.across + across, self.along + along, self.width, self.length)


Point = tuple[float, float]


@dataclass(slots=True)
class Layout:
    """Where everything of a picture lies.

    Parameters
    ----------
    width, length : float
        The size of all of it.
    boxes, frames : list of Place
        In the order of the picture.
    routes : list of list of (float, float)
        For each arrow, the points that it passes, from its source to its target.
    """

    width: float = 0.0
    length: float = 0.0
    boxes: list[Place] = field(default_factory=list)
    frames: list[Place] = field(default_factory=list)
    routes: list[list[Point]] = field(default_factory=list)


@dataclass(slots=True)
class _Level:
    """What lies in one frame, outside of the frames in it."""

    boxes: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    # Each edge: the arrow, and its two ends; an end is a box, a frame or the border, all as vertices.
    edges: list[tuple[int, tuple[str, int], tuple[str, int]]] = field(default_factory=list)


@dataclass(slots=True)
class _Inside:
    """A frame that is laid out, in coordinates of its own."""

    width: float = 0.0
    length: float = 0.0
    places: dict[tuple[str, int], Place] = field(default_factory=dict)
    routes: dict[int, list[Point]] = field(default_factory=dict)


def arranged(
    picture: Picture,
    sizes: Sequence[tuple[float, float]],
    titles: Sequence[float],
    heading: float,
    layer_gap: float = _LAYER_GAP,
) -> Layout:
    """Lay a picture out.

    Parameters
    ----------
    picture : Picture
        What is drawn.
    sizes : sequence of (float, float)
        The size of each box, across and along.
    titles : sequence of float
        How wide each frame is at least.
    heading : float
        How much room each frame needs for its title, before what lies in it.
    layer_gap : float
        How far apart layers lie.

    Returns
    -------
    Layout
        Boxes of one frame do not overlap, and lie within it.
    """
    levels = {frame: _Level() for frame in range(_ROOT, len(picture.frames))}
    for number, box in enumerate(picture.boxes):
        levels[box.frame].boxes.append(number)
    for number, frame in enumerate(picture.frames):
        levels[frame.parent].frames.append(number)
    for number, arrow in enumerate(picture.arrows):
        _add_edges(picture, levels, number, arrow.source, arrow.target)
    insides: dict[int, _Inside] = {}
    for inner in range(len(picture.frames) - 1, _ROOT, -1):  # a frame comes after the one around it
        insides[inner] = _inside(levels[inner], sizes, insides, titles[inner], heading, layer_gap)
    insides[_ROOT] = _inside(levels[_ROOT], sizes, insides, 0.0, 0.0, layer_gap)
    return _put_together(picture, levels, insides)


def _path(picture: Picture, box: int) -> list[int]:
    """Return the frames around a box, from the outermost."""
    path, frame = [], picture.boxes[box].frame
    while frame != _ROOT:
        path.append(frame)
        frame = picture.frames[frame].parent
    return path[::-1]


def _add_edges(picture: Picture, levels: dict[int, _Level], arrow: int, source: int, target: int) -> None:
    before, behind = _path(picture, source), _path(picture, target)
    shared = 0
    while shared < min(len(before), len(behind)) and before[shared] == behind[shared]:
        shared += 1
    ends = []
    for path, box, border in ((before, source, "out"), (behind, target, "in")):
        inner: tuple[str, int] = ("box", box)
        for frame in reversed(path[shared:]):
            _cross(levels[frame], arrow, inner, border)
            inner = ("frame", frame)
        ends.append(inner)
    common = before[shared - 1] if shared else _ROOT
    levels[common].edges.append((arrow, ends[0], ends[1]))


def _cross(level: _Level, arrow: int, inner: tuple[str, int], border: str) -> None:
    edge = (inner, ("out", arrow)) if border == "out" else (("in", arrow), inner)
    level.edges.append((arrow, *edge))


def _inside(
    level: _Level,
    sizes: Sequence[tuple[float, float]],
    insides: dict[int, _Inside],
    least: float,
    heading: float,
    layer_gap: float,
) -> _Inside:
    keys: list[tuple[str, int]] = [("box", box) for box in level.boxes] + [("frame", frame) for frame in level.frames]
    borders = [end for _, *ends in level.edges for end in ends if end[0] in ("in", "out")]
    keys += borders
    vertex_of = {key: vertex for vertex, key in enumerate(keys)}
    extents = [_extent(key, sizes, insides) for key in keys]
    edges = [
        Segment(vertex_of[upper], vertex_of[lower], _offset(upper, arrow, insides), _offset(lower, arrow, insides))
        for arrow, upper, lower in level.edges
    ]
    layering = layered(
        len(keys),
        edges,
        [vertex_of[key] for key in borders if key[0] == "in"],
        [vertex_of[key] for key in borders if key[0] == "out"],
    )
    across = coordinates(layering, [width for width, _ in extents], _GAP, _DUMMY_GAP)
    margin = _PADDING if heading else 0.0
    first = min((across[v] - extents[v][0] / 2 for v in range(len(keys))), default=0.0)
    first = min([first, *across])
    last = max([max((across[v] + extents[v][0] / 2 for v in range(len(keys))), default=0.0), *across])
    spare = max(0.0, least - (last - first) - 2 * margin)
    shift = margin - first + spare / 2
    thickness = [
        max((extents[vertex][1] for vertex in layer if vertex < len(keys)), default=0.0) for layer in layering.layers
    ]
    tops = list(accumulate((thick + layer_gap for thick in thickness), initial=heading + margin))
    inside = _Inside(
        width=last - first + 2 * margin + spare,
        length=(tops[-2] + thickness[-1] if thickness else tops[0]) + margin,
    )
    for vertex, key in enumerate(keys):
        width, length = extents[vertex]
        layer = layering.layer_of[vertex]
        along = tops[layer] + (thickness[layer] - length) / 2
        if key[0] == "in":
            along = 0.0
        elif key[0] == "out":
            along = inside.length
        inside.places[key] = Place(across[vertex] + shift - width / 2, along, width, length)
    for number, (arrow, upper, lower) in enumerate(level.edges):
        start, end = inside.places[upper], inside.places[lower]
        edge = edges[number]
        route = [(start.across + start.width / 2 + edge.upper_offset, start.along + start.length)]
        for dummy in layering.chains[number]:
            layer, x = layering.layer_of[dummy], across[dummy] + shift
            route += [(x, tops[layer]), (x, tops[layer] + thickness[layer])]
        route.append((end.across + end.width / 2 + edge.lower_offset, end.along))
        inside.routes[arrow] = route
    return inside


def _extent(
    key: tuple[str, int], sizes: Sequence[tuple[float, float]], insides: dict[int, _Inside]
) -> tuple[float, float]:
    kind, number = key
    if kind == "box":
        return sizes[number]
    if kind == "frame":
        return insides[number].width, insides[number].length
    return 0.0, 0.0


def _offset(key: tuple[str, int], arrow: int, insides: dict[int, _Inside]) -> float:
    """Return where an arrow meets a vertex, from its middle: a frame where it passes its border."""
    if key[0] != "frame":
        return 0.0
    inside = insides[key[1]]
    border = inside.places.get(("out", arrow)) or inside.places[("in", arrow)]
    return border.across - inside.width / 2


def _put_together(picture: Picture, levels: dict[int, _Level], insides: dict[int, _Inside]) -> Layout:
    root = insides[_ROOT]
    layout = Layout(root.width, root.length)
    shifts: dict[int, Point] = {_ROOT: (0.0, 0.0)}
    for number, frame in enumerate(picture.frames):
        place = insides[frame.parent].places[("frame", number)].moved(*shifts[frame.parent])
        shifts[number] = (place.across, place.along)
        layout.frames.append(place)
    for number, box in enumerate(picture.boxes):
        layout.boxes.append(insides[box.frame].places[("box", number)].moved(*shifts[box.frame]))
    pieces: list[list[tuple[int, list[Point]]]] = [[] for _ in picture.arrows]
    for inner, level in levels.items():
        across, along = shifts[inner]
        depth = len(_frame_path(picture, inner))
        for arrow, upper, lower in level.edges:
            # Out of the frames from the innermost, then across, then into frames from the outermost.
            rank = -depth - 1 if lower[0] == "out" else depth + 1 if upper[0] == "in" else 0
            route = [(x + across, y + along) for x, y in insides[inner].routes[arrow]]
            pieces[arrow].append((rank, route))
    for parts in pieces:
        parts.sort(key=lambda part: part[0])
        layout.routes.append([point for _, route in parts for point in route])
    _spread_ends(picture, layout, at_target=False)
    _spread_ends(picture, layout, at_target=True)
    return layout


def _spread_ends(picture: Picture, layout: Layout, *, at_target: bool) -> None:
    """Let the arrows of a box meet it side by side, in the order in which they come."""
    of_box: dict[int, list[int]] = {}
    for number, arrow in enumerate(picture.arrows):
        of_box.setdefault(arrow.target if at_target else arrow.source, []).append(number)
    end, neighbour = (-1, -2) if at_target else (0, 1)
    for box, arrows in of_box.items():
        routes = sorted((layout.routes[number] for number in arrows), key=lambda route: route[neighbour])
        room = layout.boxes[box].width - 2 * _CORNER
        step = min(_SPREAD, room / (len(routes) - 1)) if len(routes) > 1 else 0.0
        for place, route in enumerate(routes):
            across, along = route[end]
            route[end] = (across + (place - (len(routes) - 1) / 2) * step, along)


def _frame_path(picture: Picture, frame: int) -> list[int]:
    path = []
    while frame != _ROOT:
        path.append(frame)
        frame = picture.frames[frame].parent
    return path

"""Pictures as SVG, which every browser shows without a program of ours or of others.

The text of a picture is one element with a class of its own, without identifiers that could clash with those of another
picture on the same page, and without scripts or anything that is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from execution_dataflow.drawing.labels import clipped, display_width
from execution_dataflow.drawing.layout import Layout, Place, Point, arranged
from execution_dataflow.drawing.palette import Theme, colours_of
from execution_dataflow.drawing.picture import Arrow, Box, Direction, Picture
from execution_dataflow.states import OperationState

__all__ = ["svg_text"]

_CLASS = "execution-dataflow-drawing"
# Of a sans-serif font of 13 and 11 pixels; wide letters rather leave room than run over the border.
_COLUMN, _SMALL_COLUMN = 7.4, 6.2
_LINE, _SMALL_LINE = 17.0, 14.0
_PADDING = 12.0
_LEAST_WIDTH = 72.0
_MARGIN = 16.0
_HEADING = 24.0
_GAP, _GAP_WITH_LABELS = 46.0, 64.0
_STACKED = 4.0
_TIP = 7.0
_LEGEND_ROW = 18.0


def svg_text(picture: Picture, *, direction: Direction, theme: Theme) -> str:
    """Return a picture as an SVG element.

    Parameters
    ----------
    picture : Picture
        What is shown.
    direction : {"TD", "LR"}
        Which way data flows.
    theme : {"auto", "light", "dark"}
        For which ground.

    Returns
    -------
    str
        One ``svg`` element, well-formed XML, in ASCII and what the names have.
    """
    is_flat = direction == "LR"
    sizes = [_box_size(box) for box in picture.boxes]
    titles = [display_width(clipped(frame.title)) * _SMALL_COLUMN + 2 * _PADDING for frame in picture.frames]
    if is_flat:
        sizes = [(height, width) for width, height in sizes]
        titles = [_HEADING] * len(picture.frames)
    layout = arranged(picture, sizes, titles, _HEADING, _layer_gap(picture, is_flat))
    layout = _shown(layout, is_flat)
    footer = _footer(picture, layout.length)
    width = max(layout.width, *(len_ for _, len_ in footer), 1.0) + 2 * _MARGIN
    height = layout.length + len(footer) * _LEGEND_ROW + (8 if footer else 0) + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{_CLASS} {_CLASS}-{theme}" role="img" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'aria-label="{_attribute(picture.title)}">',
        f"<title>{escape(picture.title)}</title>",
        f"<desc>{escape(picture.description)}</desc>",
        f"<style>{_style(theme)}</style>",
        f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>',
        f'<g transform="translate({_MARGIN:.0f} {_MARGIN:.0f})">',
    ]
    for frame, place in zip(picture.frames, layout.frames, strict=True):
        parts.append(_frame(frame.title, place))
    for arrow, route in zip(picture.arrows, layout.routes, strict=True):
        parts.append(_arrow(arrow, route, is_flat))
    for number, (box, place) in enumerate(zip(picture.boxes, layout.boxes, strict=True)):
        parts.append(_box(number, box, place))
    parts += _labels(picture, layout)
    parts += [text for text, _ in footer]
    parts += ["</g>", "</svg>"]
    return "\n".join(parts)


def _attribute(text: str) -> str:
    return escape(text).replace("\n", "&#10;").replace("\t", "&#9;")


def _box_size(box: Box) -> tuple[float, float]:
    widest = max(display_width(line) for line in box.lines) * _COLUMN
    widest = max([widest, *(display_width(line) * _SMALL_COLUMN for line in box.details)])
    width = max(widest + 2 * _PADDING, _LEAST_WIDTH)
    height = len(box.lines) * _LINE + len(box.details) * _SMALL_LINE + 14.0
    stacked = _STACKED if box.shape in ("map", "group", "nested") else 0.0
    return width + stacked, height + stacked


def _shown(layout: Layout, is_flat: bool) -> Layout:
    """Turn what is across and along into what is to the right and down."""
    if not is_flat:
        return layout

    def turned(place: Place) -> Place:
        return Place(place.along, place.across, place.length, place.width)

    return Layout(
        layout.length,
        layout.width,
        [turned(place) for place in layout.boxes],
        [turned(place) for place in layout.frames],
        [[(along, across) for across, along in route] for route in layout.routes],
    )


def _frame(title: str, place: Place) -> str:
    return (
        f'<g class="frame"><title>{escape(title)}</title>'
        f'<rect x="{place.across:.1f}" y="{place.along:.1f}" width="{place.width:.1f}" height="{place.length:.1f}" '
        f'rx="8"/><text x="{place.across + 10:.1f}" y="{place.along + 17:.1f}">{escape(clipped(title))}</text></g>'
    )


def _box(number: int, box: Box, place: Place) -> str:
    is_stacked = box.shape in ("map", "group", "nested")
    width = place.width - (_STACKED if is_stacked else 0.0)
    height = place.length - (_STACKED if is_stacked else 0.0)
    x, y = place.across, place.along
    radius = height / 2 if box.shape == "parameter" else 6.0
    classes = ["box", box.shape]
    classes += [f"state-{box.state.name.lower()}"] if box.state is not None else []
    classes += ["fault"] if box.has_fault else []
    rect = f'<rect x="{{:.1f}}" y="{{:.1f}}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"/>'
    shapes = rect.format(x + _STACKED, y + _STACKED) if is_stacked else ""
    shapes += rect.format(x, y)
    middle = x + width / 2
    lines = []
    at = y + 7.0 + 13.0
    for line in box.lines:
        lines.append(f'<text x="{middle:.1f}" y="{at:.1f}">{escape(line)}</text>')
        at += _LINE
    at += _SMALL_LINE - _LINE + 1.0
    for line in box.details:
        lines.append(f'<text class="detail" x="{middle:.1f}" y="{at:.1f}">{escape(line)}</text>')
        at += _SMALL_LINE
    return (
        f'<g class="{" ".join(classes)}" data-box="{number}"><title>{escape(box.tooltip)}</title>'
        f"{shapes}{''.join(lines)}</g>"
    )


def _arrow(arrow: Arrow, route: Sequence[Point], is_flat: bool) -> str:
    classes = ["arrow"] + (["order"] if arrow.is_order else []) + (["fault"] if arrow.has_fault else [])
    *before, (x, y) = route
    # The line ends where the tip begins.
    end = (x - _TIP, y) if is_flat else (x, y - _TIP)
    points = [*before, end]
    tip = f"M{x:.1f} {y:.1f}l{-_TIP:.0f} -4v8z" if is_flat else f"M{x:.1f} {y:.1f}l-4 {-_TIP:.0f}h8z"
    parts = [
        f'<g class="{" ".join(classes)}" data-from="{arrow.source}" data-to="{arrow.target}">',
        f"<title>{escape(arrow.tooltip)}</title>" if arrow.tooltip else "",
        f'<path class="line" d="{_curve(points, is_flat)}"/><path class="tip" d="{tip}"/>',
    ]
    parts.append("</g>")
    return "".join(parts)


def _layer_gap(picture: Picture, is_flat: bool) -> float:
    """Return how far apart layers lie, so that there is room for what is written between them."""
    widest = max((display_width(arrow.label) for arrow in picture.arrows), default=0)
    if not widest:
        return _GAP
    return max(_GAP, widest * _SMALL_COLUMN + 2 * _PADDING) if is_flat else _GAP_WITH_LABELS


def _labels(picture: Picture, layout: Layout) -> list[str]:
    """Write what stands at arrows, on top of everything: near their targets, where arrows of one source lie apart."""
    into: dict[int, list[int]] = {}
    for number, arrow in enumerate(picture.arrows):
        if arrow.label:
            into.setdefault(arrow.target, []).append(number)
    texts = []
    for arrows in into.values():
        arrows.sort(key=lambda number: layout.routes[number][-1])
        for place, number in enumerate(arrows):
            (x1, y1), (x2, y2) = layout.routes[number][-2:]
            # Those of neighbours at different heights.
            part = (0.5, 0.72, 0.28)[place % 3]
            at = (x1 + part * (x2 - x1), y1 + part * (y2 - y1) + 3)
            texts.append(
                f'<text class="label" x="{at[0]:.1f}" y="{at[1]:.1f}">{escape(picture.arrows[number].label)}</text>'
            )
    return texts


def _curve(points: Sequence[Point], is_flat: bool) -> str:
    """Join points by cubic Bézier curves that leave and reach each layer straight on."""
    (x, y), *_ = points
    pieces = [f"M{x:.1f} {y:.1f}"]
    for (x1, y1), (x2, y2) in pairwise(points):
        if (y1 == y2) if is_flat else (x1 == x2):
            pieces.append(f"L{x2:.1f} {y2:.1f}")
            continue
        if is_flat:
            bend = max(abs(x2 - x1) / 2, 12.0)
            pieces.append(f"C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}")
        else:
            bend = max(abs(y2 - y1) / 2, 12.0)
            pieces.append(f"C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}")
    return "".join(pieces)


def _footer(picture: Picture, top: float) -> list[tuple[str, float]]:
    """Return the lines under a picture, each with its width."""
    rows: list[tuple[str, float]] = []
    at = top + 22.0
    if picture.legend:
        x, parts = 0.0, []
        for state, count in picture.legend:
            text = f"{count:,} {state.name}"
            parts.append(
                f'<g class="box state-{state.name.lower()}"><rect x="{x:.1f}" y="{at - 10:.1f}" width="12" height="12" '
                f'rx="2"/></g><text class="note" x="{x + 17:.1f}" y="{at:.1f}">{escape(text)}</text>'
            )
            x += 17.0 + len(text) * _SMALL_COLUMN + 18.0
        rows.append((f'<g class="legend">{"".join(parts)}</g>', x))
        at += _LEGEND_ROW
    for note in picture.notes:
        line = clipped(note.replace("\n", " "), 120)
        rows.append(
            (f'<text class="note" x="0" y="{at:.1f}">{escape(line)}</text>', display_width(line) * _SMALL_COLUMN)
        )
        at += _LEGEND_ROW
    return rows


def _style(theme: Theme) -> str:
    if theme == "auto":
        return f"{_rules(False)}@media (prefers-color-scheme: dark){{{_rules(True, 'auto')}}}"
    return _rules(theme == "dark", theme)


def _rules(is_dark: bool, theme: str = "auto") -> str:
    own = f".{_CLASS}-{theme} "
    plain, ground = colours_of(None, is_dark=is_dark), "#14181f" if is_dark else "#ffffff"
    line = "#9aa7ba" if is_dark else "#5b6b85"
    bad = colours_of(OperationState.FAILED, is_dark=is_dark).stroke
    rules = [
        f"{own}.ground{{fill:{ground}}}",
        f"{own}text{{font:13px system-ui,sans-serif;fill:{plain.text};text-anchor:middle}}",
        f"{own}text.detail,{own}text.note,{own}.frame text,{own}text.label{{font-size:11px}}",
        f"{own}text.note,{own}.frame text{{text-anchor:start}}",
        f"{own}text.label{{stroke:{ground};stroke-width:3px;paint-order:stroke}}",
        f"{own}.box rect{{fill:{plain.fill};stroke:{plain.stroke};stroke-width:1.2px}}",
        f"{own}.frame rect{{fill:none;stroke:{line};stroke-dasharray:2 3}}",
        f"{own}.line{{fill:none;stroke:{line};stroke-width:1.2px}}",
        f"{own}.tip{{fill:{line}}}",
        f"{own}.order .line{{stroke-dasharray:5 4}}",
    ]
    for state in OperationState:
        colours = colours_of(state, is_dark=is_dark)
        if colours != plain:
            name = state.name.lower()
            rules.append(f"{own}.state-{name} rect{{fill:{colours.fill};stroke:{colours.stroke}}}")
            rules.append(f"{own}.state-{name} text{{fill:{colours.text}}}")
    rules += [
        f"{own}.fault rect,{own}.fault .line{{stroke:{bad};stroke-width:2px}}",
        f"{own}.fault .tip{{fill:{bad}}}",
    ]
    return "".join(rules)

"""The colours of a picture, on light and on dark ground; texts have a contrast of at least 4.5 to 1 (WCAG 2.2, AA).

No colour says anything that is not also written in a box.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from execution_dataflow.states import OperationState

__all__ = ["Colours", "Theme", "checked_theme", "colours_of"]

Theme: TypeAlias = Literal["auto", "light", "dark"]
"""For which ground: what the reader's system prefers, or one of them."""


class Colours(NamedTuple):
    """The colours of a box.

    Parameters
    ----------
    fill, stroke, text : str
        As ``#rrggbb``.
    """

    fill: str
    stroke: str
    text: str


_PLAIN = {False: Colours("#f4f6fa", "#5b6b85", "#1b2433"), True: Colours("#232a36", "#8fa1bd", "#eef2f8")}
_GOOD = {False: Colours("#e3f5e6", "#2f7d3b", "#12351a"), True: Colours("#173722", "#5fbf73", "#e3f7e7")}
_BAD = {False: Colours("#fde5e3", "#b3261e", "#4d0f0b"), True: Colours("#4a1715", "#f2857d", "#ffe9e7")}
_BLAMED = {False: Colours("#fdeeda", "#9a5b00", "#462a00"), True: Colours("#40290a", "#e2a24a", "#fff0da")}
_SKIPPED = {False: Colours("#eeeeee", "#757575", "#333333"), True: Colours("#2c2c2c", "#9a9a9a", "#e6e6e6")}
_STOPPED = {False: Colours("#efe6f7", "#74479c", "#331a4a"), True: Colours("#33224a", "#b68ce0", "#f3e9fd")}
_AT_WORK = {False: Colours("#e1effc", "#1f6bb0", "#0d2f4f"), True: Colours("#14304a", "#6fb3ec", "#e2f1ff")}

_OF_STATES = {
    OperationState.SUCCEEDED: _GOOD,
    OperationState.RESTORED: _GOOD,
    OperationState.FAILED: _BAD,
    OperationState.UPSTREAM_FAILED: _BLAMED,
    OperationState.SKIPPED: _SKIPPED,
    OperationState.CANCELLED: _STOPPED,
    OperationState.RUNNING: _AT_WORK,
    OperationState.RETRYING: _AT_WORK,
}


def colours_of(state: OperationState | None, *, is_dark: bool = False) -> Colours:
    """Return the colours of a box.

    Parameters
    ----------
    state : OperationState or None
        The state of its operations; ``None`` where nothing was run.
    is_dark : bool
        Whether the ground is dark.

    Returns
    -------
    Colours
        Those of the state.
    """
    return (_PLAIN if state is None else _OF_STATES.get(state, _PLAIN))[is_dark]


def checked_theme(theme: object) -> Theme:
    """Return a theme, or raise an error that says what it may be."""
    if theme == "auto":
        return "auto"
    if theme == "light":
        return "light"
    if theme == "dark":
        return "dark"
    raise ValueError(f"theme={theme!r} is not possible: 'auto', 'light' or 'dark'")

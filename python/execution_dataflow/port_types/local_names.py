"""What names in an annotation mean that is text: those of the functions and classes around what it stands in.

``typing.get_type_hints`` knows the names of a module. A class that is local to a function is known to the frame of that
function alone, which is there while what it defines is made.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from inspect import CO_OPTIMIZED
from types import FrameType
from typing import Any

__all__ = ["names_around"]

# From the decorator of a function, or from the call that adds it to a graph, to the function that defines it.
_MOST_FRAMES = 32
_WORD = re.compile(r"[^\W\d]\w*")
_LIVE_LOCALS = sys.version_info >= (3, 13)


def names_around(
    texts: Iterable[str], qualified_name: str, scope: dict[str, Any], frame: FrameType | None
) -> dict[str, Any]:
    """Return what the names in some texts mean, as far as the functions and classes around know them.

    Parameters
    ----------
    texts : iterable of str
        The annotations.
    qualified_name : str
        Of what they stand in: ``outer.<locals>.inner``.
    scope : dict of str to object
        The names of its module.
    frame : frame, optional
        Where to begin to look for what runs around it.

    Returns
    -------
    dict of str to object
        The names that were found; those of its module are not among them.
    """
    words = {word for text in texts for word in _WORD.findall(text)}
    found: dict[str, Any] = {}
    for _ in range(_MOST_FRAMES):
        if frame is None or not words:
            break
        if frame.f_globals is scope and _encloses(frame, qualified_name):
            for name, value in _locals_of(frame, words).items():
                found.setdefault(name, value)
        frame = frame.f_back
    return found


def _encloses(frame: FrameType, qualified_name: str) -> bool:
    outer = frame.f_code.co_qualname
    if frame.f_code.co_flags & CO_OPTIMIZED:  # a function, and no class or module
        return qualified_name.startswith(f"{outer}.<locals>.")
    # The names of a class are known to what stands in it, and not to what stands in that.
    return qualified_name == outer or qualified_name.rpartition(".")[0] == outer


def _locals_of(frame: FrameType, words: set[str]) -> dict[str, Any]:
    names = frame.f_locals
    found = {word: names[word] for word in words if word in names}
    if frame.f_code.co_flags & CO_OPTIMIZED and not _LIVE_LOCALS:
        names.clear()  # a copy, which the frame would keep, and all that is in it
    return found

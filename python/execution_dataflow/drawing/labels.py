"""Names as they can be shown: any text at all comes in, and what every drawing language can carry goes out."""

from __future__ import annotations

import unicodedata

__all__ = ["clipped", "display_width", "label_lines", "printable"]

# What a box is wide enough for, and how many lines of it.
_WIDTH = 28
_LINES = 3

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Line breaks of str.splitlines() that XML and Graphviz do not know as such.
_KEPT = frozenset("\n\t")


def printable(text: str) -> str:
    r"""Return a text without the characters that XML 1.0 forbids: control characters, lone surrogates, noncharacters.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The same with ``\N{REPLACEMENT CHARACTER}`` for each of those; line breaks are ``\n``.

    Examples
    --------
    >>> printable("load\r\nrows\x00")
    'load\nrows�'
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(character if _is_allowed(character) else _REPLACEMENT for character in text)


def _is_allowed(character: str) -> bool:
    if character in _KEPT:
        return True
    code = ord(character)
    # Cc: control characters, Cs: surrogates; the last two of each plane are no characters.
    return unicodedata.category(character) not in ("Cc", "Cs") and code & 0xFFFE != 0xFFFE


def display_width(text: str) -> int:
    """Return how many columns a text takes in a font whose letters are equally wide.

    Parameters
    ----------
    text : str
        One line.

    Returns
    -------
    int
        Two for each wide character of East Asian scripts, none for a combining one.

    Examples
    --------
    >>> display_width("load"), display_width("読込")
    (4, 4)
    """
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clipped(text: str, width: int = _WIDTH) -> str:
    """Return a line that fits into a width: its end tells apart what is mapped or nested, so the middle goes.

    Parameters
    ----------
    text : str
        One line.
    width : int
        How many columns there are.

    Returns
    -------
    str
        The line, with an ellipsis where something was left out.

    Examples
    --------
    >>> clipped("a_long_name_of_an_operation_17", 16)
    'a_long_…ation_17'
    """
    if display_width(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{_first(text, head)}…{_first(text[::-1], width - 1 - head)[::-1]}"


def _first(text: str, width: int) -> str:
    taken = 0
    for place, character in enumerate(text):
        taken += _columns(character)
        if taken > width:
            return text[:place]
    return text


def label_lines(text: str) -> tuple[str, ...]:
    r"""Return a name as the lines of a box.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    tuple of str
        One to three lines, none of them too wide.

    Examples
    --------
    >>> label_lines("load\nthe rows")
    ('load', 'the rows')
    >>> label_lines("")
    (' ',)
    """
    lines = [clipped(line.replace("\t", " ")) for line in printable(text).split("\n")]
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], "…"]
    return tuple(line or " " for line in lines)

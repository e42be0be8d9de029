"""Ages as a person writes and reads them: ``30d``, ``12h``, "3 days ago"."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from execution_dataflow.commands.mistakes import Mistake

__all__ = ["age_from_text", "age_text", "moment_text"]

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def age_from_text(text: str) -> timedelta:
    """Read an age: numbers with units, such as ``30d``, ``12h``, ``1d12h`` or ``90min``.

    Parameters
    ----------
    text : str
        What was written; the units are s, m or min, h, d and w.

    Raises
    ------
    Mistake
        It is none.

    Examples
    --------
    >>> age_from_text("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    written = text.strip().lower()
    parts = _PART.findall(written)
    if not parts or "".join(_PART.sub("", written).split()) or any(unit not in _UNITS for _, unit in parts):
        raise Mistake(f"{text!r} is no age: expected a number and a unit, such as 30d, 12h, 90min, 45s or 2w")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise Mistake(f"{text!r} is more than any store is old") from None


def age_text(moment: float, now: float | None = None) -> str:
    """Say how long ago something was.

    Parameters
    ----------
    moment : float
        When, in seconds of the Unix epoch.
    now : float, optional
        The present.

    Examples
    --------
    >>> [age_text(1000.0 - seconds, 1000.0) for seconds in (-5, 30, 600, 7200, 90_000, 5_000_000)]
    ['just now', '30 s ago', '10 min ago', '2 h ago', '25 h ago', '58 days ago']
    """
    seconds = (time.time() if now is None else now) - moment
    if seconds < 1:
        return "just now"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (2 * 86400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} days ago"


def moment_text(moment: float) -> str:
    """Return a moment in the local time of this machine, to the second.

    Examples
    --------
    >>> len(moment_text(1795390000.0))
    19
    """
    try:
        return datetime.fromtimestamp(moment).isoformat(" ", "seconds")
    except (OverflowError, OSError, ValueError):
        return f"{moment:g} s"

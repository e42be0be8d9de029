"""Values for a person's eye: a number as it is, a table by its first rows, an array by its shape and its range."""

from __future__ import annotations

from itertools import islice
from reprlib import Repr
from typing import Any

from execution_dataflow.commands.json_values import as_json

__all__ = ["readable", "readable_outputs"]

_MOST_LINES = 30
_MOST_OUTPUTS = 100
_LONGEST_LINE = 4000
_BOUNDED = Repr()
_BOUNDED.maxlevel = 8
_BOUNDED.maxlist = _BOUNDED.maxtuple = _BOUNDED.maxset = _BOUNDED.maxfrozenset = _BOUNDED.maxdict = 50
_BOUNDED.maxstring = _BOUNDED.maxlong = _BOUNDED.maxother = 1000


def readable(value: Any) -> str:
    """Return a value as one line or several.

    Parameters
    ----------
    value : object
        Anything; what its ``__repr__`` raises does not matter.

    Returns
    -------
    str
        At most 30 lines.

    Examples
    --------
    >>> readable("a text"), readable(0.25), readable([1, 2])
    ('a text', '0.25', '[1, 2]')
    >>> import numpy as np
    >>> readable(np.arange(12.0).reshape(3, 4))
    'ndarray of float64, 3 × 4: min 0.0, mean 5.5, max 11.0'
    """
    library = type(value).__module__.partition(".")[0]
    if isinstance(value, str):
        return _clipped(str.__str__(value))
    if library == "numpy" and hasattr(value, "dtype") and value.shape:
        return _array(value)
    if library in ("pandas", "polars", "pyarrow"):
        return _clipped(_text(value))
    if isinstance(value, dict | list | tuple | set | frozenset):
        return _clipped(_pretty(value))
    return _clipped(_text(value))


def readable_outputs(outputs: dict[str, Any]) -> str:
    r"""Return named values, one after the other.

    Examples
    --------
    >>> print(readable_outputs({"rows": 3, "report": "two\nlines"}))
    rows: 3
    report:
      two
      lines
    """
    parts = []
    for name, value in islice(outputs.items(), _MOST_OUTPUTS):
        text = readable(value)
        if "\n" in text:
            text = "".join(f"\n  {line}" for line in text.split("\n"))
            parts.append(f"{name}:{text}")
        else:
            parts.append(f"{name}: {text}")
    if len(outputs) > _MOST_OUTPUTS:
        parts.append(f"... and {len(outputs) - _MOST_OUTPUTS} more outputs; --json prints them all")
    return "\n".join(parts)


def _array(value: Any) -> str:
    facts = as_json(value)
    shape = " × ".join(map(str, value.shape))
    shown = [f"{what} {facts[what]}" for what in ("min", "mean", "max") if what in facts]
    shown += [f"{facts['nan']} NaN"] if facts.get("nan") else []
    if 0 < value.size <= 8:
        shown = [str(value.tolist())]
    kind = type(value).__name__
    return f"{kind} of {value.dtype}, {shape}{': ' if shown else ''}{', '.join(shown)}"


def _pretty(value: Any) -> str:
    from pprint import pformat

    try:
        bounded = _BOUNDED.repr(value)
        # Only what is small in every depth is worth its lines; a million elements would take pprint minutes.
        return bounded if "..." in bounded else pformat(value, width=100, compact=True, sort_dicts=False)
    except (Exception, SystemExit):
        return _text(value)


def _text(value: Any) -> str:
    try:
        return repr(value)
    except (Exception, SystemExit) as fault:
        return f"<{type(value).__name__}, whose __repr__ raised {type(fault).__name__}>"


def _clipped(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} more lines"]
    return "\n".join(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..." for line in lines)

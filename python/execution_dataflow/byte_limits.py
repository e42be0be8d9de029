"""Limits in bytes, as numbers or as people write them."""

from __future__ import annotations

import re

__all__ = ["checked_bytes"]

# Both "2GB" and "2 gb" are understood: nobody means a gigabit.
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def checked_bytes(option: str, value: object) -> int | None:
    """Return a number of bytes or ``None``, or raise an error that says what it may be.

    Parameters
    ----------
    option : str
        What it limits, for messages.
    value : int, str or None
        What a user gave: a number, or a text such as ``"2 GB"`` or ``"512 MiB"``.

    Raises
    ------
    TypeError, ValueError
        It is neither, or no size.

    Examples
    --------
    >>> checked_bytes("memory_limit", "2 GB"), checked_bytes("memory_limit", "1.5 MiB")
    (2000000000, 1572864)
    """
    if value is None:
        return None
    if isinstance(value, str):
        matched = _SIZE.fullmatch(value)
        if matched is None:
            raise ValueError(f"{option}={value!r} is not possible: a number of bytes, or such as '4 GB' or '512 MiB'")
        number, unit = matched.group(1), matched.group(2).lower()
        value = int(float(number) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit.rstrip("i")])
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{option} is a number of bytes or a string such as '4 GB', not {value!r}")
    if not 0 < value < 2**63:
        raise ValueError(f"{option}={value!r} is not possible: it is more than 0 bytes; leave it out for no limit")
    return value

"""How much of the contracts of ports is checked: nothing, what is connected, or every value too."""

from __future__ import annotations

from typing import Literal, TypeAlias

from execution_dataflow.nearest import nearest_name

__all__ = ["ContractLevel", "checked_level"]

ContractLevel: TypeAlias = Literal["off", "connect", "values"]
"""``"off"``: nothing. ``"connect"``: types of ports that are connected, and ``checks=``. ``"values"``: values too."""

_LEVELS = ("off", "connect", "values")


def checked_level(value: object) -> ContractLevel:
    """Return a level, or raise an error that says what it may be.

    Parameters
    ----------
    value : object
        What was given.

    Returns
    -------
    ContractLevel
        The same.

    Raises
    ------
    ValueError
        It is no level.

    Examples
    --------
    >>> checked_level("value")
    Traceback (most recent call last):
    ...
    ValueError: contracts='value' is not possible; did you mean 'values'? 'off' checks nothing, 'connect' the types of \
ports that are connected, and 'values' every value too
    """
    if isinstance(value, str) and value in _LEVELS:
        return value  # type: ignore[return-value]
    nearest = nearest_name(value, _LEVELS) if isinstance(value, str) else None
    suggestion = f"; did you mean {nearest!r}?" if nearest is not None else ":"
    raise ValueError(
        f"contracts={value!r} is not possible{suggestion} 'off' checks nothing, 'connect' the types of ports that are "
        "connected, and 'values' every value too"
    )

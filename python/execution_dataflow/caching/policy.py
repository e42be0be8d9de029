"""What an operation asks of the cache of results: ``cache=True``, or a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from execution_dataflow.byte_limits import checked_bytes

__all__ = ["CachePolicy", "checked_cache", "checked_entries", "checked_expiry"]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the results of an operation are kept across runs; ``cache=True`` is one with no limits of its own.

    Parameters
    ----------
    expires_seconds : float, optional
        For how long a result is used after it was computed; for ever, or as long as the cache says, by default.
    max_bytes : int or str, optional
        What the results of this class or function may take together, in bytes or as ``"2 GB"``: those that were used
        longest ago go first.
    max_entries : int, optional
        How many of them there may be.
    key : callable, optional
        Takes a mapping of input names to values, and returns what stands for them: a value of plain data. Two calls
        with equal ones share a result, whatever else their inputs and their context hold. Use it where inputs hold
        something that does not matter, such as a connection, or are known by a version.

    Raises
    ------
    TypeError, ValueError
        A parameter is of the wrong type or out of its range.

    Examples
    --------
    >>> from execution_dataflow import operation
    >>> @operation(cache=CachePolicy(expires_seconds=3600, key=lambda inputs: inputs["path"]))
    ... def load(path: str, connection: object) -> bytes: ...
    """

    expires_seconds: float | None = None
    max_bytes: int | str | None = None
    max_entries: int | None = None
    key: Callable[[Mapping[str, Any]], Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "expires_seconds", checked_expiry("CachePolicy", self.expires_seconds))
        object.__setattr__(self, "max_bytes", checked_bytes("CachePolicy.max_bytes", self.max_bytes))
        checked_entries("CachePolicy", self.max_entries)
        if self.key is not None and not callable(self.key):
            raise TypeError(f"CachePolicy(key=) must be a function of the inputs, not {self.key!r}")


def checked_cache(what: str, value: object) -> CachePolicy | None:
    """Return the policy that an option stands for.

    Parameters
    ----------
    what : str
        The option, for messages.
    value : bool or CachePolicy
        What a user gave.

    Returns
    -------
    CachePolicy or None
        ``None`` if nothing is to be kept.

    Raises
    ------
    TypeError
        It is neither.

    Examples
    --------
    >>> checked_cache("load(cache=)", True)
    CachePolicy(expires_seconds=None, max_bytes=None, max_entries=None, key=None)
    """
    if isinstance(value, CachePolicy):
        return value
    if isinstance(value, bool):
        return CachePolicy() if value else None
    raise TypeError(
        f"{what} must be True, False or a CachePolicy, such as CachePolicy(expires_seconds=3600), not {value!r}"
    )


def checked_expiry(owner: str, value: object) -> float | None:
    """Return a number of seconds or ``None``, or raise an error that says what it may be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{owner}(expires_seconds=) must be a number of seconds, not {value!r}")
    if not isfinite(value) or value <= 0:
        raise ValueError(
            f"{owner}(expires_seconds=) must be more than 0 seconds, not {value!r}; leave it out for no limit"
        )
    return float(value)


def checked_entries(owner: str, value: object) -> int | None:
    """Return a number of entries or ``None``, or raise an error that says what it may be."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{owner}(max_entries=) must be an int, not {value!r}")
    if value < 1:
        raise ValueError(f"{owner}(max_entries=) must be 1 or more, not {value}; leave it out for no limit")
    return value

"""How much memory values hold, for engines with a memory limit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

__all__ = ["register_size", "size_of"]

T = TypeVar("T")

_registered: dict[type, Callable[[Any], int]] = {}

# How many elements of a container are looked at; the others are taken to be like them.
_LOOKED_AT = 16
# How deep containers within containers are followed: what lies deeper is small beside what is above, or a cycle.
_DEEPEST = 4


def register_size(kind: type[T], size: Callable[[T], int]) -> None:
    """Say how much memory the values of a class hold, for ``ExecutionEngine(memory_limit=...)``.

    Numpy arrays, what has ``nbytes``, pandas and polars frames, Arrow tables and the builtin containers are known.

    Parameters
    ----------
    kind : type
        The class; its subclasses are meant too, unless they are registered themselves.
    size : callable
        Takes a value and returns its size in bytes. It is called once for each value that an operation sets.

    Examples
    --------
    >>> class Image:
    ...     pixels = bytes(30_000)
    >>> register_size(Image, lambda image: len(image.pixels))
    >>> size_of(Image())
    30000
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_size() takes a class and a function, not {kind!r}")
    if not callable(size):
        raise TypeError(f"register_size({kind.__name__}, ...) takes a function of a value, not {size!r}")
    _registered[kind] = size


def size_of(value: object) -> int:
    """Return how much memory a value holds, in bytes; of containers, what a sample of their elements says.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    int
        Its size.

    Examples
    --------
    >>> import numpy as np
    >>> size_of(np.zeros(1000))
    8000
    >>> size_of([np.zeros(1000)] * 3) > 24_000
    True
    """
    return _size(value, 0)


def _size(value: Any, depth: int) -> int:
    for kind in type(value).__mro__:
        size = _registered.get(kind)
        if size is not None:
            return int(size(value))
    if isinstance(value, bytes | bytearray | str | int | float | complex | bool | None):
        return sys.getsizeof(value)
    if isinstance(value, dict):
        return sys.getsizeof(value) + _sample(value.keys(), depth) + _sample(value.values(), depth)
    if isinstance(value, list | tuple | set | frozenset):
        return sys.getsizeof(value) + _sample(value, depth)
    return _of_foreign(value, depth)


def _sample(values: Any, depth: int) -> int:
    if depth >= _DEEPEST or not values:
        return 0
    count = len(values)
    step = max(1, count // _LOOKED_AT)
    looked_at = [_size(element, depth + 1) for element in islice(values, 0, None, step)]
    return sum(looked_at) * count // len(looked_at)


def _of_foreign(value: Any, depth: int) -> int:
    # pandas: the columns and the index. Strings in columns of objects are estimated from the pointers alone by
    # memory_usage(), so that those are asked for in full.
    usage = getattr(value, "memory_usage", None)
    if callable(usage):
        told = usage(deep=True)
        return int(told if isinstance(told, int) else told.sum())
    # polars.
    estimated = getattr(value, "estimated_size", None)
    if callable(estimated):
        return int(estimated())
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        if getattr(getattr(value, "dtype", None), "hasobject", False):
            return nbytes + _sample(value.ravel().tolist(), depth)
        return nbytes
    fields = getattr(value, "__dict__", None)
    return sys.getsizeof(value) + (_size(fields, depth + 1) if fields and depth < _DEEPEST else 0)

"""What a value looks like inside, in 16 bytes: how ``ExecutionEngine(debug=True)`` sees that somebody wrote to one."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

__all__ = ["fingerprint"]

# Lists in dicts in lists: deeper than this, an element counts by its identity. Also where a cycle ends.
_DEPTH = 6
# Of longer containers and object arrays only the identity of the elements is looked at.
_MOST_ELEMENTS = 100_000

_IMMUTABLE = (int, float, complex, bool, str, bytes, type(None), range)


def fingerprint(value: Any) -> bytes | None:
    """Return what is in a value that can be changed.

    Covered are numpy arrays of every kind and their slices and views, ``bytearray``, ``memoryview`` and all else that
    offers its memory, pandas and polars frames, series and indices, Arrow tables and arrays, and lists, tuples, sets
    and dicts of these and of numbers and strings. Other objects count by their identity: what is in them is not seen.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    bytes or None
        16 bytes, the same as long as nobody writes to the value; ``None`` if there is nothing in it that can be looked
        at and changed.

    Examples
    --------
    >>> buffer = bytearray(b"spam")
    >>> before = fingerprint(buffer)
    >>> buffer[0] = 0
    >>> fingerprint(buffer) == before
    False
    >>> fingerprint("text") is None
    True
    """
    look = _Look()
    look.at(value, _DEPTH)
    return look.digest() if look.sees_something else None


class _Look:
    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self.sees_something = False

    def digest(self) -> bytes:
        return self._hash.digest()

    def at(self, value: Any, depth: int) -> None:
        """Look at one value and what is in it."""
        kind = type(value)
        self._hash.update(kind.__name__.encode())
        if kind in _IMMUTABLE:
            self._hash.update(repr(hash(value)).encode())
        elif kind in (list, tuple):
            self.sees_something |= kind is list
            self._elements(value, len(value), depth)
        elif kind is dict:
            self.sees_something = True
            self._elements((part for item in value.items() for part in item), 2 * len(value), depth)
        elif kind in (set, frozenset):
            self.sees_something |= kind is set
            self._hash.update(repr(sorted(map(_hash_or_identity, value))).encode())
        elif kind in (bytearray, memoryview, array):
            self._bytes(memoryview(value))
        elif not (self._is_array(value, depth) or self._is_frame(value) or self._is_arrow(value)):
            self._other(value)

    def _elements(self, elements: Iterable[Any], count: int, depth: int) -> None:
        self._hash.update(f"[{count}]".encode())
        if depth == 0 or count > _MOST_ELEMENTS:
            self._hash.update(repr([id(element) for element in elements]).encode())
            return
        for element in elements:
            self.at(element, depth - 1)

    def _bytes(self, memory: memoryview) -> None:
        self.sees_something = True
        self._hash.update(f"{memory.format}{memory.shape}".encode())
        self._hash.update(memory if memory.c_contiguous else memory.tobytes())

    def _other(self, value: Any) -> None:
        try:
            memory = memoryview(value)  # mmap and whatever else offers its memory
        except (TypeError, BufferError, ValueError):
            self._hash.update(repr(id(value)).encode())
            return
        self._bytes(memory)

    def _is_array(self, value: Any, depth: int) -> bool:
        numpy = sys.modules.get("numpy")
        if numpy is None or not isinstance(value, numpy.ndarray):
            return False
        if isinstance(value, numpy.ma.MaskedArray):
            self._array(numpy, numpy.ma.getmaskarray(value), depth)
        self._array(numpy, value.view(numpy.ndarray), depth)
        return True

    def _array(self, numpy: Any, values: Any, depth: int) -> None:
        self.sees_something = True
        self._hash.update(f"{values.dtype.str}{values.shape}".encode())
        if values.dtype.hasobject:
            if values.dtype == object:
                self._elements(values.flat, values.size, depth)
            else:
                self._hash.update(values.tobytes())  # a structured array: which objects are in its fields
            return
        plain = numpy.ascontiguousarray(values)
        if plain.dtype.itemsize and plain.size:
            self._hash.update(memoryview(plain.reshape(-1).view(numpy.uint8)))

    def _is_frame(self, value: Any) -> bool:
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series | pandas.Index):
            self.sees_something = True
            self._pandas(pandas, value)
            return True
        polars = sys.modules.get("polars")
        if polars is None or not isinstance(value, polars.DataFrame | polars.Series):
            return False
        self.sees_something = True
        series = [value] if isinstance(value, polars.Series) else value.get_columns()
        for column in series:
            self._hash.update(f"{column.name}{column.dtype}{len(column)}".encode())
            try:
                self._hash.update(memoryview(column.hash(seed=0).to_numpy()))
            except Exception:  # a type that polars cannot hash
                self._hash.update(repr(column.to_list()).encode())
        return True

    def _pandas(self, pandas: Any, value: Any) -> None:
        if isinstance(value, pandas.DataFrame):
            self._pandas(pandas, value.index)
            self._hash.update(repr(list(value.columns)).encode())
            for position in range(value.shape[1]):
                self._pandas(pandas, value.iloc[:, position])
            return
        if isinstance(value, pandas.MultiIndex):
            for level in range(value.nlevels):
                self._pandas(pandas, value.get_level_values(level))
            return
        if isinstance(value, pandas.Series):
            self._pandas(pandas, value.index)
        numpy = sys.modules["numpy"]
        self._hash.update(f"{value.name!r}{value.dtype}".encode())
        if isinstance(value.dtype, numpy.dtype) and value.dtype.kind in "biufcmM":
            self._array(numpy, value.to_numpy(copy=False), 1)
            return
        try:
            hashed = pandas.util.hash_pandas_object(value, index=False, categorize=False).to_numpy()
        except TypeError:  # objects that cannot be hashed
            self._elements(list(value), len(value), _DEPTH - 1)
        else:
            self._hash.update(memoryview(hashed))

    def _is_arrow(self, value: Any) -> bool:
        if not type(value).__module__.startswith("pyarrow"):
            return False
        if hasattr(value, "itercolumns"):  # a table, a batch
            self._hash.update(repr(value.schema).encode())
            chunks = [chunk for column in value.itercolumns() for chunk in getattr(column, "chunks", [column])]
        elif hasattr(value, "chunks"):
            chunks = value.chunks
        elif hasattr(value, "buffers"):
            chunks = [value]
        else:
            return False
        self.sees_something = True
        for chunk in chunks:
            self._hash.update(f"{chunk.type}{len(chunk)}{chunk.offset}".encode())
            for buffer in chunk.buffers():
                self._hash.update(b"-" if buffer is None else memoryview(buffer))
        return True


def _hash_or_identity(value: Any) -> int:
    try:
        return hash(value)
    except TypeError:
        return id(value)

"""Values as bytes and back: the one place that knows how a value passes from process to process.

A value becomes a pickle (protocol 5) and the buffers that pickled out of band, which are neither copied nor looked at
here. A buffer that may not be written comes back as one that may not be written.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

from execution_dataflow import _core
from execution_dataflow.executors.processes.definitions import (
    DefinitionPickler,
    DefinitionTable,
    has_name,
    is_local,
    recall,
    received_key,
)
from execution_dataflow.executors.processes.wire import ALIGNMENT

__all__ = ["Packed", "Packer", "WirePart", "unpack", "wire_part"]

# Values that are pickled without a look at every object in them: nothing in them is a definition.
_PLAIN = frozenset({int, float, bool, str, bytes, complex, type(None), type(_core.MISSING)})

WirePart: TypeAlias = tuple[bytes, tuple[tuple[int, bool], ...]]
"""A packed value in the metadata of a message: its pickle; for each buffer in the body its size, and whether it may not
be written."""


class Packed(NamedTuple):
    """A value in the form in which it is sent.

    Parameters
    ----------
    stream : bytes
        The pickle.
    buffers : list of memoryview
        What is beside it, in order.
    descriptors : tuple of int
        File descriptors that it needs.
    """

    stream: bytes
    buffers: Sequence[memoryview] = ()
    descriptors: Sequence[int] = ()


class _Pickler(DefinitionPickler):
    """Refers to definitions by their keys."""

    def __init__(self, file: io.BytesIO, packer: Packer, buffer_callback: Callable[[Any], object] | None) -> None:
        super().__init__(file, buffer_callback)
        self._packer = packer

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType):
            key = self._packer.key_of(obj)
            if key is not None:
                return recall, (key,)
            # What a module has passes by its name; cloudpickle finds that out too, and takes its time.
            return NotImplemented if has_name(obj) else super().reducer_override(obj)
        special = self._packer.special.get(type(obj))
        if special is not None:
            return special(obj)
        return super().reducer_override(obj)


class Packer:
    """Packs values for the other side.

    Parameters
    ----------
    table : DefinitionTable, optional
        Where definitions are kept that the other side must be sent first; a worker process has none.

    Attributes
    ----------
    used : set of str
        The keys of the definitions that values packed so far refer to.
    special : dict of type to callable
        Types that pass in a way of their own: each callable gives what ``__reduce__`` would.
    """

    def __init__(self, table: DefinitionTable | None = None) -> None:
        self._table = table
        self.used: set[str] = set()
        self.special: dict[type, Callable[[Any], Any]] = {}

    def key_of(self, thing: Any) -> str | None:
        """Return the key for a function or class; ``None`` if it passes as pickle does it."""
        key = received_key(thing)
        if key is None and self._table is not None and is_local(thing):
            key = self._table.key_for(thing)
            self.used.add(key)
        return key

    def pack_in_band(self, value: Any) -> Packed:
        """Return a value as bytes alone."""
        file = io.BytesIO()
        _Pickler(file, self, None).dump(value)
        return Packed(file.getvalue())

    def pack(self, value: Any) -> Packed:
        """Return a value as bytes, buffers and descriptors.

        Raises
        ------
        Exception
            Whatever pickling it raises.
        """
        if type(value) is tuple and _PLAIN.issuperset(map(type, value)):
            return Packed(pickle.dumps(value, 5))
        buffers: list[pickle.PickleBuffer] = []
        file = io.BytesIO()
        _Pickler(file, self, buffers.append).dump(value)
        return Packed(file.getvalue(), [buffer.raw() for buffer in buffers])


def wire_part(packed: Packed) -> WirePart:
    """Return what the metadata of a message says of a packed value."""
    return packed.stream, tuple((buffer.nbytes, buffer.readonly) for buffer in packed.buffers)


def unpack(part: WirePart, body: bytearray, offset: int) -> tuple[Any, int]:
    """Return a value, whose buffers lie in a message from ``offset`` on, and where the next value's begin.

    Parameters
    ----------
    part : WirePart
        What the metadata said.
    body : bytearray
        The body of the message: values may lie in it, and keep it.
    offset : int
        Where the first buffer begins.

    Raises
    ------
    Exception
        Whatever unpickling raises.
    """
    stream, sizes = part
    if not sizes:
        return pickle.loads(stream), offset
    whole = memoryview(body)
    buffers: list[memoryview] = []
    for size, is_read_only in sizes:
        buffer = whole[offset : offset + size]
        buffers.append(buffer.toreadonly() if is_read_only else buffer)
        offset += size + -size % ALIGNMENT
    return pickle.loads(stream, buffers=buffers), offset

"""Values as bytes and back: the one place that knows how a value passes from process to process.

A value becomes a pickle (protocol 5) and the buffers that pickled out of band. Small ones travel in the message, where
they are neither copied nor looked at here, and one that may not be written comes back as one that may not be written.
What is large goes through shared memory: the message says where it lies.
"""

from __future__ import annotations

import io
import pickle
import sys
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
from execution_dataflow.shared_memory import THRESHOLD, Parcel, Placed, place, process_memory, reduce_array

__all__ = [
    "Packed",
    "Packer",
    "WirePart",
    "inline_size",
    "is_placed",
    "pack_plain",
    "resolve",
    "unpack",
    "wire_part",
    "wire_part_of_parcel",
]

# Values that are pickled without a look at every object in them: nothing in them is a definition.
_PLAIN = frozenset({int, float, bool, str, bytes, complex, type(None), type(_core.MISSING)})

WirePart: TypeAlias = tuple[Any, tuple[Any, ...]]
"""A packed value in the metadata of a message: its pickle; for each buffer in the body its size, and whether it may not
be written. Where the pickle or a buffer lies in shared memory, a `Placed` says where."""

_PLACED = 4


class Packed(NamedTuple):
    """A value in the form in which it is sent.

    Parameters
    ----------
    stream : bytes
        The pickle.
    buffers : list of memoryview
        What is beside it, in order.
    parcel : Parcel or None
        Stands for both if any of it lies in shared memory.
    """

    stream: bytes
    buffers: Sequence[memoryview] = ()
    parcel: Parcel | None = None


class _Pickler(DefinitionPickler):
    """Refers to definitions by their keys."""

    def __init__(self, file: io.BytesIO, packer: Packer, buffer_callback: Callable[[Any], object] | None) -> None:
        super().__init__(file, buffer_callback)
        self._packer = packer
        self._takes_buffers = buffer_callback is not None

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
        if self._takes_buffers and _is_large_array(obj):
            reduced = reduce_array(process_memory(), obj)
            if reduced is not NotImplemented:
                return reduced
        return super().reducer_override(obj)


def _is_large_array(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.ndarray) and bool(thing.nbytes >= THRESHOLD)


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
        """Return a value as bytes and buffers, or as a parcel.

        Raises
        ------
        Exception
            Whatever pickling it raises.
        """
        buffers: list[pickle.PickleBuffer] = []
        file = io.BytesIO()
        _Pickler(file, self, buffers.append).dump(value)
        stream = file.getvalue()
        raws = [buffer.raw() for buffer in buffers]
        if len(stream) < THRESHOLD and sum(raw.nbytes for raw in raws) < THRESHOLD:
            return Packed(stream, raws)
        return _placed(stream, raws)


def pack_plain(values: tuple[Any, ...]) -> bytes | None:
    """Return the pickle of values, if they are small and a look at each shows that no `Packer` is needed for them."""
    if _PLAIN.issuperset(map(type, values)):
        stream = pickle.dumps(values, 5)
        if len(stream) < THRESHOLD:
            return stream
    return None


def _placed(stream: bytes, raws: list[memoryview]) -> Packed:
    return Packed(b"", (), place(process_memory(), [stream], raws))


def wire_part(packed: Packed) -> WirePart:
    """Return what the metadata of a message says of a packed value that is no parcel."""
    return packed.stream, tuple((buffer.nbytes, buffer.readonly) for buffer in packed.buffers)


def wire_part_of_parcel(payload: Any, parts: Sequence[Any]) -> tuple[WirePart, list[memoryview]]:
    """Return what the metadata says of a parcel that was described, and what goes into the body."""
    stream = payload if isinstance(payload, tuple) else b"".join(payload)
    inside = [memoryview(part) for part in parts if not isinstance(part, tuple)]
    described = (part if isinstance(part, tuple) else (len(part), isinstance(part, bytes)) for part in parts)
    return (stream, tuple(described)), inside


def is_placed(part: WirePart) -> bool:
    """Whether any of a packed value lies in shared memory."""
    return isinstance(part[0], tuple) or any(len(entry) == _PLACED for entry in part[1])


def inline_size(part: WirePart) -> int:
    """Return how much of the body of a message is a value's."""
    return sum(-(-entry[0] // ALIGNMENT) * ALIGNMENT for entry in part[1] if len(entry) != _PLACED)


def resolve(part: WirePart, lease_of: Callable[[Placed], _core.Lease]) -> WirePart:
    """Return a part with leases in the place of what lies in shared memory."""
    if not is_placed(part):
        return part
    stream, entries = part
    if isinstance(stream, tuple):
        stream = lease_of(stream)
    return stream, tuple(lease_of(entry) if len(entry) == _PLACED else entry for entry in entries)


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
    buffers: list[Any] = []
    for entry in sizes:
        if isinstance(entry, _core.Lease):
            buffers.append(entry)
            continue
        size, is_read_only = entry
        buffer = whole[offset : offset + size]
        buffers.append(buffer.toreadonly() if is_read_only else buffer)
        offset += size + -size % ALIGNMENT
    return pickle.loads(stream, buffers=buffers), offset

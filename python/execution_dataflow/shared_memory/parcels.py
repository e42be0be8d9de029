"""Values on their way between processes: a pickle, and the memory that it refers to."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from execution_dataflow._core import Lease
from execution_dataflow.shared_memory.arrays import reduce_array

if TYPE_CHECKING:
    from execution_dataflow.shared_memory.memory import SharedMemory

__all__ = ["MakePickler", "Parcel", "Part", "pack", "place"]

Part = Any
"""A lease of shared memory, or bytes that travel in the message."""

MakePickler = Callable[[Any, Callable[[Any], Any]], pickle.Pickler]

_PROTOCOL = 5
# Buffers below this are not worth a place of their own when many small ones are put into one block.
_TINY = 1024
# Where each of several buffers in one block begins: a line of the cache, which is what vector instructions want.
_ALIGNMENT = 64


class Parcel:
    """A value that was packed: to be sent, any number of times, or to be loaded.

    Parameters
    ----------
    payload : sequence of bytes-like, or Lease
        The pickle.
    parts : sequence
        The memory that it refers to: leases, and bytes that travel in the message.
    """

    __slots__ = ("parts", "payload")

    def __init__(self, payload: Sequence[Any] | Lease, parts: Sequence[Part]) -> None:
        self.payload = payload
        self.parts = parts

    def blocks(self) -> list[int]:
        """Return the block of each lease among the parts and the payload."""
        found = [part.block for part in self.parts if type(part) is Lease]
        if isinstance(self.payload, Lease):
            found.append(self.payload.block)
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the pickle and of all memory that it refers to."""
        payload = self.payload
        own = len(payload) if isinstance(payload, Lease) else sum(map(_length, payload))
        return own + sum(map(_length, self.parts))

    def clear(self) -> None:
        """Let go of everything."""
        self.payload = ()
        self.parts = ()

    def load(self, *, writeable: bool = False) -> Any:
        """Return the value. Arrays over shared memory are views of it.

        Parameters
        ----------
        writeable : bool
            Whether what came in the message may be written to, where its sender's original could be. What lies in
            shared memory may be as far as its lease says so.
        """
        payload: Any = self.payload
        if not isinstance(payload, Lease):
            payload = payload[0] if len(payload) == 1 else b"".join(payload)
        if not self.parts:
            return pickle.loads(payload)
        small = bytearray if writeable else bytes
        return pickle.loads(payload, buffers=[part if type(part) is Lease else small(part) for part in self.parts])


def _length(part: Any) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


class _Sink:
    """A file for the pickler: what is large comes as the object itself and is not copied here."""

    __slots__ = ("chunks", "write")

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.write = self.chunks.append


class _ArrayPickler(pickle.Pickler):
    def __init__(self, memory: SharedMemory, sink: _Sink, callback: Callable[[Any], Any]) -> None:
        super().__init__(sink, _PROTOCOL, buffer_callback=callback)
        self._memory = memory

    def reducer_override(self, value: Any) -> Any:
        return reduce_array(self._memory, value)


def pack(memory: SharedMemory, value: Any, pickler: MakePickler | None = None) -> Parcel:
    """Pickle a value, with all memory that can be handed over on its own beside it.

    Memory in a segment is taken as it lies there. Other memory is copied into one, once, if it is large.

    Parameters
    ----------
    memory : SharedMemory
        The shared memory of this process.
    value : object
        What is to be sent.
    pickler : callable, optional
        Makes a pickler of a file and a callback for buffers; its ``reducer_override`` should ask `reduce_array` before
        anything else. By default a plain one.

    Returns
    -------
    Parcel
        It refers to the value's memory in segments, and to copies of the rest.

    Raises
    ------
    SharedMemoryFull
        There is no memory left for a copy.
    """
    sink = _Sink()
    buffers: list[pickle.PickleBuffer] = []
    if pickler is not None:
        pickler(sink, buffers.append).dump(value)
    elif "numpy" in sys.modules:
        _ArrayPickler(memory, sink, buffers.append).dump(value)
    else:
        pickle.Pickler(sink, _PROTOCOL, buffer_callback=buffers.append).dump(value)
    return place(memory, sink.chunks, [buffer.raw() for buffer in buffers])


def place(memory: SharedMemory, chunks: list[Any], raws: list[memoryview]) -> Parcel:
    """Make a parcel of what a pickler gave.

    Parameters
    ----------
    memory : SharedMemory
        The shared memory of this process.
    chunks : list of bytes-like
        The pickle.
    raws : list of memoryview
        The memory that was pickled out of band, as bytes.

    Raises
    ------
    SharedMemoryFull
        There is no memory left for a copy.
    """
    return Parcel(_placed_payload(memory, chunks), _placed(memory, raws) if raws else ())


def _placed_payload(memory: SharedMemory, chunks: list[Any]) -> Sequence[Any] | Lease:
    if len(chunks) == 1 and len(chunks[0]) < memory.threshold:
        return chunks
    views = [memoryview(chunk).cast("B") for chunk in chunks]
    if sum(view.nbytes for view in views) < memory.threshold:
        # What the pickler passed on as it is may change before it is sent.
        return [b"".join(views)]
    return _together(memory, views, alignment=1)[0]


def _placed(memory: SharedMemory, raws: list[memoryview]) -> list[Part]:
    parts: list[Part] = [_large(memory, raw) if raw.nbytes >= memory.threshold else None for raw in raws]
    middle = [at for at, raw in enumerate(raws) if parts[at] is None and raw.nbytes >= _TINY]
    if sum(raws[at].nbytes for at in middle) >= memory.threshold:
        for at, lease in zip(middle, _spread(memory, [raws[at] for at in middle]), strict=True):
            parts[at] = lease
    # A copy, since it may change before it is sent; of the kind that says whether it might be written.
    return [
        (bytes if raw.readonly else bytearray)(raw) if part is None else part
        for part, raw in zip(parts, raws, strict=True)
    ]


def _large(memory: SharedMemory, raw: memoryview) -> Lease:
    lease = memory.ledger.lease_over(raw)
    if lease is None and (lease := memory.contents.find(raw.obj)) is None:
        lease = memory.copy(raw)
        memory.contents.note(raw.obj, lease)
    return lease


def _spread(memory: SharedMemory, raws: list[memoryview]) -> list[Lease]:
    """Put buffers that are small, but not together, into one block; each that lies in one already stays there."""
    own = [memory.ledger.lease_over(raw) for raw in raws]
    rest = [raw for raw, lease in zip(raws, own, strict=True) if lease is None]
    if not rest:
        return [lease for lease in own if lease is not None]
    copied = iter(_together(memory, rest, alignment=_ALIGNMENT)[1:])
    return [next(copied) if lease is None else lease for lease in own]


def _together(memory: SharedMemory, views: list[memoryview], alignment: int) -> list[Lease]:
    """Copy bytes into one block; a lease of the whole, then one of each."""
    starts, end = [], 0
    for view in views:
        start = -(-end // alignment) * alignment
        starts.append(start)
        end = start + view.nbytes
    whole = memory.take(end)
    for view, start in zip(views, starts, strict=True):
        whole.fill(view, start)
    block, lease = whole.block, memory.ledger.lease
    if alignment == 1:
        return [whole]
    return [whole, *(lease(block, start, view.nbytes) for view, start in zip(views, starts, strict=True))]

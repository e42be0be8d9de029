"""What a message between two processes looks like: accounts and parcels first, then bytes; descriptors beside it."""

from __future__ import annotations

import marshal
import os
from collections.abc import Container, Sequence
from contextlib import suppress
from struct import Struct
from typing import Any, NamedTuple

from execution_dataflow._core import Lease
from execution_dataflow.shared_memory.parcels import Parcel

__all__ = [
    "Accounts",
    "Described",
    "Description",
    "Introduction",
    "Message",
    "Placed",
    "close_owned",
    "described",
    "marked",
    "parcel_of",
    "read",
    "write",
]

_LENGTH = Struct("<I")

Placed = tuple[int, int, int, bool]
"""Memory in a block: the block, where it begins, how long it is, and whether nobody else will see it."""


Described = tuple[Any, list[Any]]
"""The payload, a list of bytes-like or a `Placed`; and the parts, each bytes-like or a `Placed`."""


Introduction = tuple[int, int, int, bool]
"""A segment that the receiver does not know yet: its number, its length, the size of its blocks, and whether the next
descriptor is its."""


class Accounts(NamedTuple):
    """What a message says of blocks besides the parcels it carries."""

    introductions: Sequence[Introduction] = ()
    returns: Sequence[tuple[int, int]] = ()
    """From a worker: blocks of which it gives up so many holds."""
    loans: Sequence[int] = ()
    """To a worker: blocks that it may use for what it makes."""
    forgotten: Sequence[int] = ()
    """To a worker: segments that are gone."""
    recall: bool = False
    """To a worker: give back what is not in use."""


class Description(NamedTuple):
    """What a message must say beside the bytes of its parcels: plain values, for any way of writing them down."""

    accounts: Accounts
    contents: list[Described]
    """For each parcel what its payload and its parts are: bytes, or a `Placed`."""
    descriptors: list[int]
    """Descriptors to be sent along."""
    owned: list[int]
    """Those of them that are to be closed when they were sent."""


def close_owned(description: Description) -> None:
    """Close the descriptors that nobody needs once they were sent, or cannot be."""
    while description.owned:
        with suppress(OSError):
            os.close(description.owned.pop())


class Message:
    """A message to be sent: first all `chunks`, with `descriptors` beside the first of them.

    ``close`` it when it was sent, or cannot be.
    """

    __slots__ = ("_owned", "chunks", "descriptors")

    def __init__(self, chunks: list[Any], descriptors: list[int], owned: list[int]) -> None:
        self.chunks = chunks
        self.descriptors = descriptors
        self._owned = owned

    @property
    def nbytes(self) -> int:
        """How long it is."""
        return sum(chunk.nbytes if isinstance(chunk, memoryview) else len(chunk) for chunk in self.chunks)

    def to_bytes(self) -> bytes:
        """Return the chunks in one."""
        return b"".join(self.chunks)

    def close(self) -> None:
        """Close the descriptors that nobody else needs."""
        while self._owned:
            with suppress(OSError):
                os.close(self._owned.pop())

    __del__ = close


def write(description: Description) -> Message:
    """Return a message that says what a description does."""
    shapes: list[Any] = []
    behind: list[Any] = []
    for payload, parts in description.contents:
        if isinstance(payload, tuple):
            shape: Any = payload
        else:
            shape = sum(map(len, payload))
            behind.extend(payload)
        shapes.append((shape, [part if isinstance(part, tuple) else len(part) for part in parts]))
        behind.extend(part for part in parts if not isinstance(part, tuple))
    plain: Any = (tuple(description.accounts), shapes)
    head = marshal.dumps(plain)
    chunks = [_LENGTH.pack(len(head)) + head, *behind]
    return Message(chunks, description.descriptors, description.owned)


def read(data: Any) -> tuple[Accounts, list[Described]]:
    """Take a message apart; the opposite of `write`, with one memoryview for each payload.

    Parameters
    ----------
    data : bytes-like
        The whole message.
    """
    view = memoryview(data)
    (length,) = _LENGTH.unpack_from(view)
    at = _LENGTH.size + length
    accounts, shapes = marshal.loads(view[_LENGTH.size : at])

    def behind(shape: Any) -> Any:
        nonlocal at
        if isinstance(shape, tuple):
            return shape
        start, at = at, at + shape
        return view[start:at]

    return Accounts(*accounts), [(behind(payload), [behind(part) for part in parts]) for payload, parts in shapes]


def described(parcel: Parcel) -> Described:
    """Return what a parcel is made of, with leases as `Placed`."""
    payload = parcel.payload
    parts = [part if isinstance(part, bytes | bytearray | memoryview) else _placed(part) for part in parcel.parts]
    return _placed(payload) if isinstance(payload, Lease) else payload, parts


def _placed(lease: Lease) -> Placed:
    return lease.block, lease.offset, len(lease), False


def marked(payload: Any, parts: list[Any], moved: Container[int]) -> Described:
    """Say of what lies in some blocks that nobody else will see it."""

    def mark(part: Any) -> Any:
        return (*part[:3], part[0] in moved) if isinstance(part, tuple) else part

    return mark(payload), [mark(part) for part in parts]


def parcel_of(payload: Any, parts: list[Any]) -> Parcel:
    """Make a parcel of what came, once its placed parts are leases."""
    return Parcel(payload if isinstance(payload, Lease) else [payload], parts)

"""What a value becomes before it is written: bytes in a named format, and what has to be known to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from execution_dataflow.stores.artifacts import Bytes

__all__ = ["Payload", "size_of"]


class Payload(NamedTuple):
    """A value as bytes.

    Attributes
    ----------
    format : str
        What the bytes are, a key of `formats.READERS`.
    parts : sequence of bytes
        The bytes, one part after the other. They may be the memory of the value itself.
    details : object
        What else reading needs, of what JSON can hold; ``None`` if nothing.
    text : str or None
        What a format of text holds, in the place of parts.
    is_mapped : bool
        Whether the value that is read lies in the bytes themselves, so that it is worth to be able to map them.
    """

    format: str
    parts: Sequence[Bytes] = ()
    details: object = None
    text: str | None = None
    is_mapped: bool = False


def size_of(parts: Sequence[Bytes]) -> int:
    """Return the number of bytes in parts, each of which consists of single bytes."""
    return sum(map(len, parts))

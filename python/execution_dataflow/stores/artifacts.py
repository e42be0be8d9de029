"""What a store of artifacts does: bytes under a name, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

__all__ = ["ArtifactInfo", "ArtifactStore", "Bytes"]

Bytes: TypeAlias = bytes | bytearray | memoryview
"""Contiguous memory of bytes."""


class ArtifactInfo(NamedTuple):
    """What a store says of an artifact without reading it.

    Attributes
    ----------
    name : str
        Its name.
    size : int
        In bytes.
    written_at : float
        When, in seconds of the Unix epoch, by the store's clock.
    """

    name: str
    size: int
    written_at: float


@runtime_checkable
class ArtifactStore(Protocol):
    """Keeps bytes under names. Every method may be called from any thread; a name is written once.

    What fails raises a `StoreError` whose cause is the library's error. A store repeats by itself what is worth
    repeating, such as a request to a server that is busy.

    Names consist of ASCII letters, digits and ``-_./``; parts between slashes are neither empty nor ``.`` or ``..``.
    """

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether it is a part of this machine's file system: only then are pickles in it trusted without a key."""
        ...

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        """Write an artifact, durably: when this returns, it is there after a loss of power.

        Parameters
        ----------
        name : str
            Its name; one that exists is replaced, at once.
        parts : sequence of bytes
            What it consists of, one after the other.

        Raises
        ------
        StoreError
            It was not written; nothing is to be seen of it under this name.
        """
        ...

    def read(self, name: str) -> memoryview:
        """Return what was written, as read-only memory: mapped, where the store can.

        Parameters
        ----------
        name : str
            The artifact.

        Raises
        ------
        ArtifactNotFoundError
            There is none of that name.
        StoreError
            It cannot be read.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete an artifact; nothing happens if there is none of that name."""
        ...

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        """Yield what is there, in no order.

        Parameters
        ----------
        prefix : str
            What the names begin with.
        """
        ...

    def close(self) -> None:
        """Free connections and files. What was read stays readable. A second call does nothing."""
        ...

"""What a kind of shared memory must be able to do."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["Backing", "SegmentMemory"]


class SegmentMemory(Protocol):
    """The memory of one segment, mapped into this process. It is unmapped when the object is gone."""

    @property
    def mapped(self) -> Any:
        """What exports the memory as a writeable buffer."""

    def discard(self) -> None:
        """Give the memory back to the system. Called once, by the process that decides, when nobody uses it."""


class Backing(Protocol):
    """Makes segments, and maps those that other processes made."""

    def create(self, segment: int, length: int) -> SegmentMemory:
        """Make the memory of a new segment, with all its pages.

        Raises
        ------
        SharedMemoryFull
            There is not enough.
        """

    def introduce(self, segment: int, memory: SegmentMemory, keep: bool) -> int:
        """Return the descriptor that another process maps the segment by, -1 when it needs none.

        Unless it is to be kept, it now belongs to the caller.
        """

    def open(self, segment: int, length: int, descriptor: int, keep: bool) -> SegmentMemory:
        """Map a segment of another process; the descriptor belongs to the result, which keeps it or closes it."""

    def sweep(self, maker: int, known: Any) -> None:
        """Remove the segments of a process that is gone, as far as nobody was told of them."""

    def for_worker(self) -> tuple[str, ...]:
        """Return what a worker makes its own backing from."""

    def close(self) -> None:
        """Remove what is left when the process ends."""

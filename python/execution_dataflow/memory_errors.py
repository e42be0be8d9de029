"""What goes wrong with memory that processes share."""

from __future__ import annotations

from execution_dataflow.errors import DataflowError

__all__ = ["SharedMemoryFull"]


class SharedMemoryFull(DataflowError, MemoryError):
    """There is no room left for memory that processes share.

    Attributes
    ----------
    requested : int or None
        How many bytes were asked for.
    available : int or None
        How many there were.

    Examples
    --------
    >>> print(SharedMemoryFull.for_request(8 << 30, 3 << 30, "/tmp has no room for it either"))
    8.0 GiB of shared memory were asked for, 3.0 GiB are available, and /tmp has no room for it either; let values
    go earlier (retain=), run fewer operations at a time (max_workers=), work on smaller pieces, or set TMPDIR to a
    disk that has room
    """

    def __init__(self, message: str = "", *, requested: int | None = None, available: int | None = None) -> None:
        super().__init__(message)
        self.requested = requested
        self.available = available

    @classmethod
    def for_request(cls, requested: int, available: int | None, why: str) -> SharedMemoryFull:
        """Return an error for a request.

        Parameters
        ----------
        requested : int
            How many bytes were asked for.
        available : int or None
            How many there were, if that is known.
        why : str
            What else is full, as the end of a sentence.
        """
        there = "" if available is None else f" {_amount(available)} are available,"
        message = (
            f"{_amount(requested)} of shared memory were asked for,{there} and {why}; let values go earlier (retain=), "
            "run fewer operations at a time (max_workers=), work on smaller pieces, or set TMPDIR to a disk that has "
            "room"
        )
        return cls(message, requested=requested, available=available)


def _amount(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 29 else f"{size / (1 << 20):.1f} MiB"

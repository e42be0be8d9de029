"""Numbers that a worker process writes and that its parent reads even when the worker is dead: what it works on.

They lie in a small file that both have mapped, so that the start of an operation costs no message. In the other
direction there is one: that the worker is to be killed for what it works on, and is to begin nothing else. Behind the
numbers is room for results that were not sent yet (`held_results.py`).
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time

__all__ = ["Marker"]

# How often a worker that is to be killed looks whether it still is.
_CONDEMNED_SECONDS = 0.001

_SIZE = max(mmap.ALLOCATIONGRANULARITY, 1 << 14)
_BYTES_OF_NUMBERS = 64


class Marker:
    """The number of the task that a worker has begun, and when its operation was entered.

    Parameters
    ----------
    descriptor : int or None
        The file, for a worker that was given it; ``None`` makes a new one.
    name : str or None
        Its name, where processes do not pass on open files.

    Attributes
    ----------
    descriptor : int or None
        The file, to be passed on; `close_file` closes it.
    name : str or None
        Its name, where processes do not pass on open files.
    words_for_results, room_for_results : memoryview
        Two numbers, and bytes, for `HeldResults`.
    """

    def __init__(self, descriptor: int | None = None, name: str | None = None) -> None:
        self.descriptor = descriptor
        self.name = name
        if sys.platform == "win32":
            self.name = name or f"execution-dataflow-{os.getpid()}-{os.urandom(8).hex()}"
            self._map = mmap.mmap(-1, _SIZE, tagname=self.name)
        else:
            if descriptor is None:
                self.descriptor = descriptor = _new_file()
            self._map = mmap.mmap(descriptor, _SIZE)
        # Aligned words, each written by one store: a reader sees the old number or the new one.
        self._words = memoryview(self._map).cast("Q")
        self.words_for_results = self._words[3:5]
        self.room_for_results = memoryview(self._map)[_BYTES_OF_NUMBERS:]

    def take(self, task: int) -> None:
        """Say that work on a task begins; its operation was not entered yet."""
        words = self._words
        words[1] = 0
        words[0] = task
        while words[2]:
            time.sleep(_CONDEMNED_SECONDS)

    def enter(self, nanoseconds: int) -> None:
        """Say when the operation is entered, by the monotonic clock."""
        self._words[1] = nanoseconds

    def leave(self) -> None:
        """Say that the operation has ended, and its result is on the way."""
        self._words[1] = 0

    def condemn(self, task: int) -> bool:
        """Before the worker is killed for a task: keep it from beginning another; ``False`` when it has done so.

        Each side writes its word and then reads the other's, so that one of them sees the other. No fence of Python's
        orders the two, only the many instructions between them: should both miss, a task that had just begun is killed
        in its stead, and is run again.
        """
        words = self._words
        words[2] = 1
        if words[0] == task:
            return True
        words[2] = 0
        return False

    @property
    def task(self) -> int:
        """The task that was begun last; 0 before the first."""
        return self._words[0]

    @property
    def entered(self) -> int:
        """When its operation was entered, in nanoseconds of the monotonic clock; 0 before that and after its end."""
        return self._words[1]

    def close_file(self) -> None:
        """Close the file; what is mapped stays."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def close(self) -> None:
        """Give everything back."""
        self.close_file()
        for view in (self.words_for_results, self.room_for_results, self._words):
            view.release()
        self._map.close()


def _new_file() -> int:
    if sys.platform == "linux":
        descriptor = os.memfd_create("execution-dataflow")
    else:
        descriptor, path = tempfile.mkstemp(prefix="execution-dataflow-")
        os.unlink(path)
    os.ftruncate(descriptor, _SIZE)
    return descriptor

"""Results that a worker process holds back, to send several in one message, where its death does not take them along.

They lie in the page that the worker and its parent have mapped (`marker.py`), before the next task is taken: what has
finished is known to have finished, whatever becomes of the worker then. The parent reads them there when the worker is
dead, and when it has been at a later task for a while. What it has read there and gets in a message too, it drops.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from execution_dataflow._core import memory_fence
from execution_dataflow.executors.processes.marker import Marker

__all__ = ["SHORT_NANOSECONDS", "HeldResults", "results_in"]

SHORT_NANOSECONDS = 100_000
"""The result of an operation that took longer than this is never held, and none is held while such a one runs, as far
as that can be told before."""

# The number of the task, the nanoseconds that its operation took, the bytes of the pickled outputs, which follow.
_RECORD = Struct("<QQI")


class HeldResults:
    """The part of the page in which results lie. The worker alone writes it.

    Parameters
    ----------
    marker : Marker
        The page.
    """

    def __init__(self, marker: Marker) -> None:
        # How many bytes there are, and of which task the first result is.
        self._words = marker.words_for_results
        self._room = marker.room_for_results
        self._end = 0

    def keep(self, task: int, nanoseconds: int, stream: bytes) -> bool:
        """Put a result behind those that are held; ``False`` if it has no room."""
        begin = self._end
        end = begin + _RECORD.size + len(stream)
        if end > len(self._room):
            return False
        if not begin:
            self._words[1] = task
            # Before anything is written over: see `read`.
            memory_fence()
        self._room[begin:end] = _RECORD.pack(task, nanoseconds, len(stream)) + stream
        self._words[0] = self._end = end
        return True

    @property
    def contents(self) -> memoryview:
        """What is held, for `results_in`; it is overwritten after `clear`."""
        return self._room[: self._end]

    def clear(self) -> None:
        """Hold nothing any more: it has been sent."""
        self._words[0] = self._end = 0

    def read(self) -> bytes:
        """Return what is held, in the parent.

        A worker that goes on meanwhile may write over it. It names the first task before it does so: then there is
        nothing to return, and the message that it has sent brings the results. Whoever reads what was written over
        reads the new first task after that: the worker's fence stands between its two writes, and this one between the
        two reads in the reverse order. The parent reads when the worker has written nothing for milliseconds, or is
        dead; so no fence is needed for what was written before.
        """
        first, end = self._words[1], self._words[0]
        held = bytes(self._room[:end])
        memory_fence()
        return held if self._words[1] == first else b""


def results_in(held: bytes | memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Give the number of each task, how many nanoseconds its operation took, and its pickled outputs."""
    whole = memoryview(held)
    begin = 0
    while begin < len(whole):
        task, nanoseconds, size = _RECORD.unpack_from(whole, begin)
        begin += _RECORD.size
        yield task, nanoseconds, whole[begin : begin + size]
        begin += size

"""The shared memory of one process: what it gives out, what it recognises, and what it keeps for the next one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from itertools import count
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, SupportsIndex, cast

from execution_dataflow._core import Lease, Ledger
from execution_dataflow.shared_memory.backing import Backing
from execution_dataflow.shared_memory.contents import KnownContents
from execution_dataflow.shared_memory.room import total_memory
from execution_dataflow.shared_memory.sizes import THRESHOLD, block_size, blocks_at_once, largest_fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

__all__ = ["FOLDER_VARIABLE", "SharedMemory", "SharedMemoryStats", "default_backing"]

FOLDER_VARIABLE = "EXECUTION_DATAFLOW_SHARED_FOLDER"
"""The environment variable that has segments made as files in a folder, also where anonymous ones could be made."""

# In the number of a segment, the bits below that of the process that made it.
_COUNTER_BITS = 28
# The share of the memory that blocks may keep which nobody uses: three arrays of 1 GB on a machine with 24 GB.
_POOL_SHARE = 8
_POOL_WITHOUT_KNOWLEDGE = 1 << 30


class SharedMemoryStats(NamedTuple):
    """What shared memory is doing in this process."""

    segments: int
    """Segments that are mapped."""
    blocks_in_use: int
    """Blocks with an array over them here or, in the main process, in a worker."""
    pooled_bytes: int
    """Bytes of blocks that wait for their next use."""
    mapped_bytes: int
    """Bytes of all segments."""
    copies: int
    """How often memory that was allocated elsewhere was copied into a block."""
    bytes_copied: int
    """How many bytes that were."""


def default_backing() -> Backing:
    """Return anonymous files on Linux, and named ones elsewhere or where the environment names a folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if sys.platform == "linux" and not folder:
        from execution_dataflow.shared_memory.anonymous_files import AnonymousFiles

        return AnonymousFiles()
    from execution_dataflow.shared_memory.named_files import NamedFiles

    return NamedFiles.for_this_process(Path(folder) if folder else None)


class HearsOfLoss(Protocol):
    """Somebody who keeps mappings of segments elsewhere in mind."""

    def hear_of_loss(self, segments: Sequence[int]) -> None:
        """Take note of segments that are gone; on any thread."""


class SharedMemory:
    """The shared memory of this process.

    Parameters
    ----------
    number : int
        0 in the main process; in a worker, the number that the main process gave it.
    backing : Backing, optional
        How segments are made; by default what the system does best.
    limit : int, optional
        How many bytes may be kept for the next use; by default an eighth of the memory.
    threshold : int
        What is smaller travels in the message itself.
    """

    def __init__(
        self,
        number: int = 0,
        *,
        backing: Backing | None = None,
        limit: int | None = None,
        threshold: int = THRESHOLD,
    ) -> None:
        self.number = number
        self.threshold = threshold
        self.ledger = Ledger()
        self.backing = default_backing() if backing is None else backing
        self.contents = KnownContents(self.ledger)
        self.links: dict[int, HearsOfLoss] = {}
        self._counter = count(1)
        self._made: dict[int, int] = {}
        if limit is None:
            total = total_memory()
            limit = _POOL_WITHOUT_KNOWLEDGE if total is None else total // _POOL_SHARE
        self.limit = limit
        self.ledger.limit(limit)

    def take(self, length: int) -> Lease:
        """Return a writeable lease of some bytes, from the pool or of new memory.

        Parameters
        ----------
        length : int
            How many bytes, at least 1.

        Raises
        ------
        SharedMemoryFull
            There is no memory left.
        """
        size = block_size(length)
        while (lease := self.ledger.take(length, largest_fit(size))) is None:
            self._grow(size)
        return lease

    def _grow(self, size: int) -> None:
        existing = self._made.get(size, 0)
        blocks = blocks_at_once(size, existing)
        segment = (self.number << _COUNTER_BITS) | next(self._counter)
        try:
            memory = self.backing.create(segment, size * blocks)
        except MemoryError:
            # What others wait for is kept by nobody's use.
            self.ledger.expire(0.0)
            blocks = 1
            memory = self.backing.create(segment, size)
        self.ledger.add(segment, memory, memory.mapped, size, True)
        self._made[size] = existing + blocks

    def copy(self, source: Any) -> Lease:
        """Return a lease of a copy of contiguous bytes."""
        lease = self.take(source.nbytes)
        lease.fill(source, 0)
        return lease

    def empty(
        self, shape: SupportsIndex | tuple[SupportsIndex, ...], dtype: DTypeLike = float, order: Literal["C", "F"] = "C"
    ) -> np.ndarray[Any, Any]:
        """Return a new array, not initialised, that passes between processes without a copy.

        Parameters
        ----------
        shape : int or tuple of int
            Its shape.
        dtype : data-type
            Its type. Objects cannot be shared: an array of them is an ordinary one.
        order : {"C", "F"}
            By rows or by columns.

        Returns
        -------
        numpy.ndarray
            It holds whatever the memory held before. A small one is an ordinary array: it travels in the message.

        Raises
        ------
        SharedMemoryFull
            There is no memory left.
        """
        import numpy as np

        kind = np.dtype(dtype)
        sides = shape if isinstance(shape, tuple) else tuple(shape) if isinstance(shape, list) else (shape,)
        numbers = [index(side) for side in sides]
        length = math.prod(numbers) * kind.itemsize
        if length < self.threshold or kind.hasobject or min(numbers, default=0) < 0:
            return np.empty(shape, kind, order)
        return np.ndarray(tuple(numbers), kind, buffer=cast(Any, self.take(length)), order=order)

    def stats(self) -> SharedMemoryStats:
        """Return what shared memory is doing in this process."""
        return SharedMemoryStats(*self.ledger.counts())

    def tidy(self, idle_seconds: float) -> None:
        """Give back to the system what nobody used for some time.

        Parameters
        ----------
        idle_seconds : float
            How long it was not used.
        """
        self.ledger.expire(idle_seconds)

    def close(self) -> None:
        """Keep nothing any more. What is in use stays until it is not."""
        self.ledger.limit(0)
        if self.stats().segments == 0:
            self.backing.close()

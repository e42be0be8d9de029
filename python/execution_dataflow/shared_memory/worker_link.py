"""The main process's end of the way to one worker."""

from __future__ import annotations

import errno
import os
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from execution_dataflow._core import Lease, Ledger
from execution_dataflow.shared_memory.demand import Demand
from execution_dataflow.shared_memory.memory import SharedMemory
from execution_dataflow.shared_memory.messages import (
    Accounts,
    Described,
    Description,
    Introduction,
    Message,
    Placed,
    described,
    marked,
    parcel_of,
    read,
    write,
)
from execution_dataflow.shared_memory.parcels import Parcel

__all__ = ["WorkerLink"]

# Numbers of workers are never given twice, so that those of their segments are not either.
_numbers = count(1)


class WorkerLink:
    """What the main process knows of one worker's use of shared memory.

    One thread at a time may use it. Messages must be sent in the order in which they were wrapped or described.

    Parameters
    ----------
    memory : SharedMemory
        The shared memory of this process.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self.number = next(_numbers)
        self._memory = memory
        self._known: set[int] = set()
        # Segments that are gone. Another thread may be the one that learns of it.
        self._gone: deque[int] = deque()
        self._lent: dict[int, int] = {}
        self._demand = Demand()
        # What the message that is being read brought of what this worker was lent or made.
        self._filled: Counter[int] = Counter()
        self._recall = False
        self._closed = False
        memory.links[self.number] = self

    def options(self) -> tuple[int, tuple[str, ...]]:
        """Return what the worker makes its own end from: arguments of `become_worker`."""
        return self.number, self._memory.backing.for_worker()

    # ------------------------------------------------------------ sending

    def wrap(self, parcels: Iterable[Parcel] = (), *, final: bool = False) -> Message:
        """Make a message of parcels; see `describe`."""
        return write(self.describe(parcels, final=final))

    def describe(self, parcels: Iterable[Parcel] = (), *, final: bool = False) -> Description:
        """Say what a message with parcels must say; from now on the worker has a hold on their memory.

        Parameters
        ----------
        parcels : iterable of Parcel
            What to send.
        final : bool
            Whether nobody will look into the parcels any more once the worker has: memory that nobody else uses moves
            to the worker, which may write to it. (The parcels may be kept, to be sent again if it never gets to them.)
        """
        ledger, number = self._memory.ledger, self.number
        parcels = list(parcels)
        introductions: list[Introduction] = []
        descriptors: list[int] = []
        holds: Counter[int] = Counter()
        for parcel in parcels:
            for block in parcel.blocks():
                self._introduce(block >> Ledger.INDEX_BITS, introductions, descriptors)
                ledger.hold(number, block)
                holds[block] += 1
        contents = [described(parcel) for parcel in parcels]
        if final:
            # For each lease in the parcels the worker has a hold; whoever else has a claim would see what it writes.
            moved = {block for block, held in holds.items() if ledger.move_out(block, 2 * held)}
            contents = [marked(payload, parts, moved) for payload, parts in contents]
        loans = self._lend(introductions, descriptors)
        accounts = Accounts(introductions, (), loans, self._forgotten(), self._recall)
        self._recall = False
        return Description(accounts, contents, descriptors, [])

    def _introduce(self, segment: int, introductions: list[Introduction], descriptors: list[int]) -> None:
        if segment in self._known:
            return
        found = self._memory.ledger.segment(segment)
        if found is None:
            raise KeyError(f"no segment {segment} is known here")
        mapped, length, size = found
        descriptor = self._memory.backing.introduce(segment, mapped, True)
        introductions.append((segment, length, size, descriptor >= 0))
        if descriptor >= 0:
            descriptors.append(descriptor)
        self._known.add(segment)

    def _lend(self, introductions: list[Introduction], descriptors: list[int]) -> list[int]:
        """Give the worker blocks of the pool for what it is likely to make next."""
        loans: list[int] = []
        if not self._demand.wanted:
            return loans
        have = Counter(self._lent.values())
        for size, wanted in self._demand.wanted.items():
            for _ in range(wanted - have[size]):
                block = self._memory.ledger.take_for(self.number, size, size)
                if block is None:
                    break
                self._introduce(block >> Ledger.INDEX_BITS, introductions, descriptors)
                self._lent[block] = size
                loans.append(block)
        return loans

    def _forgotten(self) -> list[int]:
        gone = self._memory.ledger.take_forgotten()
        if gone:
            for link in self._memory.links.copy().values():
                link.hear_of_loss(gone)
        result = []
        while self._gone:
            segment = self._gone.popleft()
            if segment in self._known:
                self._known.discard(segment)
                result.append(segment)
        return result

    def hear_of_loss(self, segments: Sequence[int]) -> None:
        """Take note of segments that are gone; on any thread."""
        self._gone.extend(segments)

    @property
    def has_news(self) -> bool:
        """Whether the worker still has memory mapped that is gone: a message without parcels tells it."""
        return self._recall or any(segment in self._known for segment in list(self._gone))

    def recall(self) -> None:
        """Ask for what the worker was lent and does not use, with the next message."""
        if self._lent:
            self._demand.clear()
            self._recall = True

    # ------------------------------------------------------------ receiving

    def unwrap(self, data: Any, descriptors: Sequence[int] = ()) -> list[Parcel]:
        """Take a message of the worker apart.

        Parameters
        ----------
        data : bytes-like
            The message; it must stay as it is until the parcels were loaded.
        descriptors : sequence of int
            The descriptors that came with it; they are closed when they are not needed any more.
        """
        return self.accept(*read(data), descriptors)

    def accept(
        self, accounts: Accounts, contents: Iterable[Described], descriptors: Sequence[int] = ()
    ) -> list[Parcel]:
        """Take what a message said into account, and return its parcels.

        Parameters
        ----------
        accounts : Accounts
            What it said of blocks.
        contents : iterable of Described
            What it said of each parcel, with the bytes that came in the message.
        descriptors : sequence of int
            The descriptors that came with it; they are closed when they are not needed any more.
        """
        ledger, waiting = self._memory.ledger, deque(descriptors)
        try:
            for introduction in accounts.introductions:
                self._take_on(introduction, waiting)
            parcels = [
                parcel_of(self._leased(payload), [self._leased(part) for part in parts]) for payload, parts in contents
            ]
        finally:
            for descriptor in waiting:
                with suppress(OSError):
                    os.close(descriptor)
        # Last: what the worker gives up in the same message lives on in the parcels.
        for block, holds in accounts.returns:
            self._lent.pop(block, None)
            ledger.unhold(self.number, block, holds)
        if parcels:
            self.learn()
        return parcels

    def learn(self) -> None:
        """Note what the worker had filled of the memory that was asked for since the last time."""
        self._demand.learn(self._filled)
        self._filled.clear()

    def _take_on(self, introduction: Introduction, waiting: deque[int]) -> None:
        segment, length, size, has_descriptor = introduction
        if has_descriptor and not waiting:
            raise OSError(
                errno.EMFILE, "a segment of shared memory got lost: too many files are open; raise `ulimit -n`"
            )
        descriptor = waiting.popleft() if has_descriptor else -1
        memory = self._memory.backing.open(segment, length, descriptor, True)
        self._memory.ledger.add(segment, memory, memory.mapped, size, True)
        self._known.add(segment)
        first = segment << Ledger.INDEX_BITS
        for block in range(first, first + length // size):
            self._memory.ledger.hold(self.number, block)
            self._lent[block] = size

    def _leased(self, part: Any) -> Any:
        return self.lease_of(part) if isinstance(part, tuple) else part

    def lease_of(self, placed: Placed) -> Lease:
        """Return a lease of memory that a message of the worker brought."""
        block, offset, length, moved = placed
        size = self._lent.pop(block, None)
        if size is not None:
            self._filled[size] += 1
        return self._memory.ledger.lease(block, offset, length, writeable=moved)

    @property
    def holds(self) -> int:
        """How many blocks the worker has a hold on: what it looks at, and what it was lent."""
        return self._memory.ledger.held_by(self.number)

    def close(self) -> None:
        """Let all lapse that the worker held. To be called when its process is gone and its last message was read."""
        if self._closed:
            return
        self._closed = True
        self._memory.links.pop(self.number, None)
        self._memory.ledger.drop_holds(self.number)
        self._memory.backing.sweep(self.number, self._known)

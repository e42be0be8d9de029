"""A worker's end of the way to the main process."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from execution_dataflow._core import Lease, Ledger
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

__all__ = ["MainLink"]


class MainLink:
    """What a worker needs to exchange shared memory with the main process.

    One thread at a time may use it. Messages must be sent in the order in which they were wrapped or described.

    Parameters
    ----------
    memory : SharedMemory
        The shared memory of this process.
    """

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory

    def wrap(self, parcels: Iterable[Parcel] = ()) -> Message:
        """Make a message of parcels; see `describe`."""
        return write(self.describe(parcels))

    def describe(self, parcels: Iterable[Parcel] = ()) -> Description:
        """Say what a message with parcels, which are emptied, must say, and what this process let go of.

        Values that were packed should be let go of before: what nobody has here any more need not come back later.

        Parameters
        ----------
        parcels : iterable of Parcel
            What to send.
        """
        ledger = self._memory.ledger
        parcels = list(parcels)
        introductions: list[Introduction] = []
        descriptors: list[int] = []
        contents = [described(parcel) for parcel in parcels]
        blocks = {block for parcel in parcels for block in parcel.blocks()}
        for block in blocks:
            segment = block >> Ledger.INDEX_BITS
            if not ledger.is_introduced(segment):
                self._introduce(segment, introductions, descriptors)
            ledger.hand_over(block)
        for parcel in parcels:
            parcel.clear()
        moved = {block for block in blocks if ledger.claims(block) == 0}
        contents = [marked(payload, parts, moved) for payload, parts in contents]
        accounts = Accounts(introductions, ledger.take_returns())
        ledger.take_forgotten()  # the main process decides what is gone, and this one's own it never knew
        return Description(accounts, contents, descriptors, list(descriptors))

    def _introduce(self, segment: int, introductions: list[Introduction], descriptors: list[int]) -> None:
        found = self._memory.ledger.segment(segment)
        if found is None:
            raise KeyError(f"no segment {segment} is known here")
        mapped, length, size = found
        descriptor = self._memory.backing.introduce(segment, mapped, False)
        introductions.append((segment, length, size, descriptor >= 0))
        if descriptor >= 0:
            descriptors.append(descriptor)

    @property
    def owes(self) -> bool:
        """Whether there is something to give back: before it sleeps, a worker sends a message without parcels."""
        return self._memory.ledger.owes

    def unwrap(self, data: Any, descriptors: Sequence[int] = ()) -> list[Parcel]:
        """Take a message of the main process apart.

        Parameters
        ----------
        data : bytes-like
            The message; it must stay as it is until the parcels were loaded.
        descriptors : sequence of int
            The descriptors that came with it; they are closed.
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
            The descriptors that came with it; they are closed.
        """
        ledger, waiting = self._memory.ledger, deque(descriptors)
        try:
            for introduction in accounts.introductions:
                segment, length, size, has_descriptor = introduction
                descriptor = waiting.popleft() if has_descriptor else -1
                memory = self._memory.backing.open(segment, length, descriptor, False)
                ledger.add(segment, memory, memory.mapped, size, False)
        finally:
            for descriptor in waiting:
                with suppress(OSError):
                    os.close(descriptor)
        for segment in accounts.forgotten:
            ledger.forget(segment)
        for block in accounts.loans:
            ledger.receive_loan(block)
        if accounts.recall:
            ledger.give_back()
        return [
            parcel_of(self._arrived(payload), [self._arrived(part) for part in parts]) for payload, parts in contents
        ]

    def lease_of(self, placed: Placed) -> Lease:
        """Return a lease of memory that a message brought; each must be asked for once, also if nobody needs it."""
        return self._memory.ledger.arrive(*placed)

    def _arrived(self, part: Any) -> Any:
        return self.lease_of(part) if isinstance(part, tuple) else part

"""Which arrays were copied into which blocks: an array that many workers need is copied once."""

from __future__ import annotations

import sys
from typing import Any
from weakref import ref

from execution_dataflow._core import Lease, Ledger

__all__ = ["KnownContents"]


def _stays_as_it_is(array: Any, plain: type[Any]) -> bool:
    """Whether nobody can write to an array, as far as numpy knows: it and all that it is a view of is locked."""
    while True:
        if array.flags.writeable:
            return False
        base = array.base
        if base is None or type(base) is bytes:
            return True
        if type(base) is not plain:
            return False
        array = base


class KnownContents:
    """Notes of what blocks hold, each void as soon as its block is given out again or its array is gone.

    Parameters
    ----------
    ledger : Ledger
        The accounts of the blocks.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # By the identity of the array. Single operations on a dict: whoever comes in between loses a note, no more.
        self._notes: dict[int, tuple[ref[Any], int, int, int, int]] = {}

    def find(self, array: Any) -> Lease | None:
        """Return a lease of a copy that was made of an array before, if it is still there."""
        note = self._notes.get(id(array))
        if note is None:
            return None
        reference, block, generation, offset, length = note
        numpy = sys.modules.get("numpy")
        if reference() is not array or numpy is None or not _stays_as_it_is(array, numpy.ndarray):
            return None
        return self._ledger.revive(block, generation, offset, length)

    def note(self, array: Any, lease: Lease) -> None:
        """Remember that a lease holds a copy of an array, if that can be relied on."""
        numpy = sys.modules.get("numpy")
        if numpy is None or type(array) is not numpy.ndarray or not _stays_as_it_is(array, numpy.ndarray):
            return
        generation = self._ledger.generation(lease.block)
        if generation is None:
            return
        key, notes = id(array), self._notes

        def forget(gone: ref[Any]) -> None:
            # Another array may have the place, and a note of its own, by now.
            if (note := notes.get(key)) is not None and note[0] is gone:
                notes.pop(key, None)

        notes[key] = (ref(array, forget), lease.block, generation, lease.offset, len(lease))

"""Keeps a cache within its limits: counts what is put there, and lets go of what is too much."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from random import random

from execution_dataflow.caching.entries import CacheEntry, entry_of
from execution_dataflow.caching.eviction import Limits, Usage, to_evict, usage_of
from execution_dataflow.caching.touches import Touches
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Journal, Owner

__all__ = ["Keeper"]

_log = logging.getLogger("execution_dataflow.caching")

# One process at a time evicts; one that dies while it does lets another one after this time.
_CLAIM = "cache/eviction"
_CLAIM_SECONDS = 60.0
# Others put results there too, and results expire: all are counted anew after this time, ...
_COUNT_SECONDS = 300.0
# ... for the first time, which takes 30 us for each that is there, after this time or in one of so many cases: programs
# that end before that may be many.
_FIRST_COUNT_SECONDS = 30.0
_FIRST_COUNT_CHANCE = 1 / 64
_BATCH = 500


class Keeper:
    """Keeps a cache within its limits, on a thread of its own while that takes.

    Parameters
    ----------
    journal : Journal
        Where the index of the cache is.
    artifacts : ArtifactStore
        What it refers to.
    owner : Owner
        Who this is.
    touches : Touches
        What was used and is not written yet.
    limits : Limits
        Of the whole cache.
    """

    def __init__(
        self, journal: Journal, artifacts: ArtifactStore, owner: Owner, touches: Touches, limits: Limits
    ) -> None:
        self._journal = journal
        self._touches = touches
        self._artifacts = artifacts
        self._owner = owner
        self._limits = limits
        self._of_operations: dict[str, Limits] = {}
        self._expires = False
        self._lock = threading.Lock()
        self._whole = Usage()
        self._each: dict[str, Usage] = {}
        self._count_at: float | None = None
        self._has_counted = False
        self._thread: threading.Thread | None = None

    def note_saved(self, entry: CacheEntry, own: Limits) -> None:
        """Count a result that was put into the cache; begin to evict if that was too much.

        Parameters
        ----------
        entry : CacheEntry
            The result.
        own : Limits
            Those of its operation.
        """
        with self._lock:
            if own:
                self._of_operations[entry.operation] = own
            self._expires = self._expires or entry.expires_at is not None
            if not (self._limits or self._of_operations or self._expires):
                return
            self._whole.add(entry.size)
            usage = self._each.setdefault(entry.operation, Usage())
            usage.add(entry.size)
            is_due = self._is_to_count()
            if not is_due and not self._limits.are_exceeded_by(self._whole) and not own.are_exceeded_by(usage):
                return
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._evict_quietly, name="execution-dataflow-eviction", daemon=True)
            # At the end of the program no thread starts any more, and the next one evicts.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _is_to_count(self) -> bool:
        if self._count_at is None:
            self._count_at = time.monotonic() + _FIRST_COUNT_SECONDS
        return time.monotonic() >= self._count_at or (not self._has_counted and random() < _FIRST_COUNT_CHANCE)

    def entries(self) -> Iterable[CacheEntry]:
        """Return what there is, the one that was used longest ago first.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        self._touches.flush()
        return map(entry_of, self._journal.cached())

    def evict(self) -> list[CacheEntry]:
        """Let go of what is too much, unless another process does so now.

        Returns
        -------
        list of CacheEntry
            What is gone.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        if not self._journal.claim(_CLAIM, self._owner, _CLAIM_SECONDS):
            return []
        try:
            with self._lock:
                of_operations = dict(self._of_operations)
            present = list(self.entries())
            gone = to_evict(present, self._limits, of_operations, time.time())
            self.delete(gone)
            keys = {entry.key for entry in gone}
            whole, each = usage_of(entry for entry in present if entry.key not in keys)
            with self._lock:
                self._whole, self._each = whole, each
                self._count_at, self._has_counted = time.monotonic() + _COUNT_SECONDS, True
        finally:
            self._journal.release_claim(_CLAIM, self._owner)
        return gone

    def delete(self, entries: Sequence[CacheEntry]) -> None:
        """Delete results, and then their artifacts: what reads one of them meanwhile finds it or knows that it is gone.

        Raises
        ------
        StoreError
            The journal cannot be written.
        """
        for begin in range(0, len(entries), _BATCH):
            batch = entries[begin : begin + _BATCH]
            self._journal.delete_cached([entry.key for entry in batch])
            for entry in batch:
                self.delete_artifacts(entry.artifacts)

    def delete_artifacts(self, names: Iterable[str]) -> None:
        """Delete artifacts that nothing refers to any more. One that cannot be deleted is left behind, and logged."""
        for name in names:
            try:
                self._artifacts.delete(name)
            except StoreError as fault:
                # On Windows, one that a process has mapped.
                _log.warning("artifact %r of a result that is gone was left behind: %s", name, fault)

    def wait(self) -> None:
        """Wait until what is being evicted is gone."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _evict_quietly(self) -> None:
        try:
            self.evict()
        except Exception as fault:
            _log.warning("nothing was evicted from the cache %s: %s", self._journal.address, fault)
        finally:
            with self._lock:
                # Whoever else evicts, or whatever went wrong: not again for every result that is put there.
                self._count_at = max(self._count_at or 0.0, time.monotonic() + _CLAIM_SECONDS)
                self._thread = None

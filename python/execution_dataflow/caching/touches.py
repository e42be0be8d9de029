"""When results were last used, written now and then for many at once: a hit is to cost no writing."""

from __future__ import annotations

import threading
import time

from execution_dataflow.stores.journal import CachedResult, Journal

__all__ = ["Touches"]

# What was used within this time counts as used just now.
_FRESH_SECONDS = 60.0
_MOST_KEPT = 256
_LONGEST_KEPT_SECONDS = 10.0


class Touches:
    """The results that were used and of which the journal does not know that yet.

    Parameters
    ----------
    journal : Journal
        What is told.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._keys: set[str] = set()
        self._first = 0.0

    def note(self, result: CachedResult) -> None:
        """Note that a result was used now.

        Raises
        ------
        StoreError
            The journal was to be told and cannot be.
        """
        if time.time() - result.used_at < _FRESH_SECONDS:
            return
        now = time.monotonic()
        with self._lock:
            if not self._keys:
                self._first = now
            self._keys.add(result.key)
            is_due = len(self._keys) >= _MOST_KEPT or now - self._first >= _LONGEST_KEPT_SECONDS
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Tell the journal.

        Raises
        ------
        StoreError
            It cannot be told. What it was to be told is forgotten: results seem to have been used longer ago.
        """
        with self._lock:
            keys, self._keys = self._keys, set()
        if keys:
            self._journal.touch_cached(keys, time.time())

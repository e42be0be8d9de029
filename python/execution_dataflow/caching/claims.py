"""What this process has told other processes that it computes, kept valid for as long as it does."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from execution_dataflow.stores.journal import Journal, Owner

__all__ = ["Claims"]

# How often a claim is renewed while it is valid, so that a renewal that comes late is not too late.
_RENEWALS = 3
# The thread that renews ends when there was nothing for it to do for so many rounds.
_IDLE_ROUNDS = 2


class Claims:
    """The claims of one owner on names in a journal.

    A claim is valid for a while and renewed by a thread, so that those of a process that dies end by themselves, those
    of one on this machine at once (`holder_is_gone`).

    Parameters
    ----------
    journal : Journal
        Where they are made.
    owner : Owner
        Whose they are.
    seconds : float
        For how long one is valid.
    """

    def __init__(self, journal: Journal, owner: Owner, seconds: float) -> None:
        self._journal = journal
        self._owner = owner
        self._seconds = seconds
        self._lock = threading.Lock()
        # When each is to be renewed.
        self._held: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = threading.Event()

    def take(self, name: str) -> bool:
        """Take a name; ``False`` if somebody else has it.

        Raises
        ------
        StoreError
            The journal cannot be asked.
        """
        if not self._journal.claim(name, self._owner, self._seconds):
            return False
        with self._lock:
            self._held[name] = time.monotonic() + self._seconds / _RENEWALS
            if self._thread is None and not self._is_closed.is_set():
                thread = threading.Thread(target=self._renew_all, name="execution-dataflow-claims", daemon=True)
                # At the end of the program no thread starts any more; such a claim ends with its time.
                with suppress(RuntimeError):
                    thread.start()
                    self._thread = thread
        return True

    def give_back(self, name: str) -> None:
        """Give a name back.

        Raises
        ------
        StoreError
            The journal cannot be told; the claim ends with its time.
        """
        with self._lock:
            self._held.pop(name, None)
        self._journal.release_claim(name, self._owner)

    def close(self) -> None:
        """Renew nothing any more."""
        self._is_closed.set()
        with self._lock:
            self._held.clear()

    def _renew_all(self) -> None:
        idle = 0
        while not self._is_closed.wait(self._seconds / _RENEWALS / 2):
            with self._lock:
                idle = 0 if self._held else idle + 1
                if idle >= _IDLE_ROUNDS:
                    self._thread = None
                    return
                now = time.monotonic()
                due = [name for name, moment in self._held.items() if moment <= now]
            for name in due:
                self._renew(name)

    def _renew(self, name: str) -> None:
        try:
            # What somebody else has taken over meanwhile is theirs: both will put the same.
            is_held = self._journal.claim(name, self._owner, self._seconds)
        except Exception:
            return  # the next round tries again, and the operation itself will see that the store has failed
        with self._lock:
            if name not in self._held:
                given_back = is_held
            else:
                given_back = False
                if is_held:
                    self._held[name] = time.monotonic() + self._seconds / _RENEWALS
                else:
                    del self._held[name]
        if given_back:
            with suppress(Exception):
                self._journal.release_claim(name, self._owner)

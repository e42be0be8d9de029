"""The search for one result: it is there, somebody else computes it, or it is to be computed here."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from execution_dataflow.caching.flights import Flight, computing, flights
from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.caching.result_cache import ResultCache
from execution_dataflow.errors import MissingExtraError
from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError, UnstorableValueError
from execution_dataflow.stores.journal import CachedResult

__all__ = ["Answer", "Found", "Inquiry", "Lead", "Pause", "Warn"]

# How often somebody else's result is looked for: soon at first, then more seldom.
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5

Warn: TypeAlias = Callable[[str, str], object]
"""Takes what kind of thing went wrong, of which one warning is enough, and the warning."""


class Found(NamedTuple):
    """The result was kept: the values of its outputs."""

    values: list[object]


class Lead(NamedTuple):
    """It is to be computed here."""


class Pause(NamedTuple):
    """Somebody else computes it. Ask again when that has ended, or after some seconds."""

    flight: Flight | None
    seconds: float


Answer: TypeAlias = Found | Lead | Pause


class Inquiry:
    """The search for a result, step by step, so that threads and coroutines can wait in between in their own ways.

    Whatever is wrong with the cache is a warning, and what is wanted is computed.

    Parameters
    ----------
    cache : ResultCache
        Where it may be.
    key : str
        What it is computed from.
    operation : str
        The class or function that computes it, with its module.
    policy : CachePolicy
        What the operation asks for.
    warn : callable
        Takes warnings.
    """

    def __init__(self, cache: ResultCache, key: str, operation: str, policy: CachePolicy, warn: Warn) -> None:
        self._cache = cache
        self._key = key
        self._operation = operation
        self._policy = policy
        self._warn = warn
        # What is computed where this was made: whoever waits elsewhere waits for them too.
        self._own = computing.get()
        self._flight: Flight | None = None
        self._is_claimed = False
        self._keeps = True
        self._waits_for: Flight | None = None
        self._pause = _FIRST_PAUSE_SECONDS
        self._until = time.monotonic() + cache.wait_seconds

    def step(self) -> Answer:
        """Look for the result once more.

        Returns
        -------
        Found, Lead or Pause
            After a `Pause`, another step follows. After a `Lead`, `keep` may, and `end` has to.
        """
        self._stop_waiting()
        try:
            return self._look()
        except Exception as fault:
            # The store itself, not a result: nobody could get what is computed here.
            self._cache.note_failure()
            self._warn("store", f"the cache could not be asked, and {self._operation} was computed: {fault}")
        self._keeps = False
        self.end()
        return Lead()

    def _look(self) -> Answer:
        found = self._find()
        if found is not None:
            return found
        is_late = time.monotonic() >= self._until
        if self._flight is None:
            flight, is_first = flights.join((self._cache.address, self._key))
            if not is_first:
                if is_late or not flights.may_wait(flight, self._own):
                    return Lead()
                self._waits_for = flight
                return Pause(flight, max(0.0, self._until - time.monotonic()))
            self._flight = flight
        if not self._cache.claim(self._key):
            if is_late:
                return Lead()
            seconds, self._pause = self._pause, min(self._pause * 1.5, _LONGEST_PAUSE_SECONDS)
            return Pause(None, seconds)
        self._is_claimed = True
        # Whoever had it may have ended between the look and the claim.
        found = self._find()
        if found is not None:
            self.end()
        return found or Lead()

    def _find(self) -> Found | None:
        found = self._cache.find(self._key)
        if found is None:
            return None
        try:
            values = self._cache.read(found)
        except (ArtifactNotFoundError, MissingExtraError, StoreError) as fault:
            if isinstance(fault, ArtifactNotFoundError) and not self._is_still(found):
                return None  # it was evicted at this moment
            self._warn(
                "damaged", f"a result of {self._operation} in the cache cannot be used, and was computed: {fault}"
            )
            self._cache.forget(found)
            return None
        self._cache.note_success()
        if self._flight is not None:
            self.end()
        return Found(values)

    def _is_still(self, found: CachedResult) -> bool:
        now = self._cache.find(self._key)
        return now is not None and now.artifacts == found.artifacts

    @property
    def flight(self) -> Flight | None:
        """What others in this process wait for, while it is computed here."""
        return self._flight

    def keep(self, names: Sequence[str], values: Sequence[Any], seconds: float) -> None:
        """Put the outputs that were computed into the cache.

        Parameters
        ----------
        names : sequence of str
            The outputs.
        values : sequence of object
            Their values, ``_core.MISSING`` for one that was not set.
        seconds : float
            How long that took.
        """
        if not self._keeps:
            return
        what = f"what {self._operation} has computed was not kept"
        replaces = not self._is_claimed
        try:
            self._cache.save(self._key, self._operation, self._policy, names, values, seconds, replaces)
        except (UnstorableValueError, ValueError) as fault:
            self._warn("value", f"{what}: {fault}")
        except Exception as fault:
            self._cache.note_failure()
            self._warn("store", f"{what}: {fault}")

    def end(self) -> None:
        """Let others go on. A second call does nothing."""
        self._stop_waiting()
        if self._is_claimed:
            self._is_claimed = False
            # It ends by itself.
            with suppress(Exception):
                self._cache.give_back(self._key)
        flight, self._flight = self._flight, None
        if flight is not None:
            flights.leave(flight)

    def _stop_waiting(self) -> None:
        flight, self._waits_for = self._waits_for, None
        if flight is not None:
            flights.stop_waiting(flight, self._own)

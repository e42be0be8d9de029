"""Who computes what in this process, so that threads and coroutines that want the same wait for the first of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar
from threading import Event, Lock

__all__ = ["Flight", "Flights", "computing", "flights"]

_Key = tuple[str, str]


class Flight:
    """A computation under way, which others in this process may wait for.

    Parameters
    ----------
    key : tuple of (str, str)
        The address of the cache, and the key of the result.
    """

    __slots__ = ("_calls", "_done", "_lock", "key", "waits_for")

    def __init__(self, key: _Key) -> None:
        self.key = key
        # What operations wait for that it has begun itself, in nested runs.
        self.waits_for: list[Flight] = []
        self._done = Event()
        self._calls: list[Callable[[], object]] = []
        self._lock = Lock()

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long; return whether it has ended."""
        return self._done.wait(seconds)

    def call_at_end(self, function: Callable[[], object]) -> None:
        """Have a function called when it ends, on the thread that ends it; at once if it has."""
        with self._lock:
            if not self._done.is_set():
                self._calls.append(function)
                return
        function()

    def end(self) -> None:
        """Let those go on that wait for it. A second call does nothing."""
        with self._lock:
            self._done.set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()


class Flights:
    """The computations under way in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[_Key, Flight] = {}

    def join(self, key: _Key) -> tuple[Flight, bool]:
        """Return the computation of a result, and whether the caller is the one who has to do it.

        Parameters
        ----------
        key : tuple of (str, str)
            The address of the cache, and the key of the result.
        """
        with self._lock:
            known = self._open.get(key)
            if known is not None:
                return known, False
            made = self._open[key] = Flight(key)
            return made, True

    def leave(self, flight: Flight) -> None:
        """End a computation: whoever waits looks for the result, and if there is none the first of them goes on."""
        with self._lock:
            if self._open.get(flight.key) is flight:
                del self._open[flight.key]
        flight.end()

    def may_wait(self, flight: Flight, own: tuple[Flight, ...]) -> bool:
        """Note that somebody is going to wait, unless they would wait for themselves.

        Parameters
        ----------
        flight : Flight
            What they want.
        own : tuple of Flight
            What is computed where they are: by them, and by those who have begun the runs that they are part of.

        Returns
        -------
        bool
            Whether they may. If so, `stop_waiting` follows.
        """
        if not own:
            return True
        with self._lock:
            seen, to_look_at = {id(flight)}, [flight]
            while to_look_at:
                at = to_look_at.pop()
                if any(at is one for one in own):
                    return False
                for other in at.waits_for:
                    if id(other) not in seen:
                        seen.add(id(other))
                        to_look_at.append(other)
            for one in own:
                one.waits_for.append(flight)
            return True

    def stop_waiting(self, flight: Flight, own: tuple[Flight, ...]) -> None:
        """Forget that somebody waited."""
        if own:
            with self._lock:
                for one in own:
                    one.waits_for.remove(flight)

    def after_fork_in_child(self) -> None:
        """Start afresh: those who compute are in the parent."""
        self._lock = Lock()
        self._open = {}


flights = Flights()
"""Those of this process."""

computing: ContextVar[tuple[Flight, ...]] = ContextVar("execution_dataflow_computing", default=())
"""What is being computed for a cache here. Nested runs inherit it from the operation that begins them."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=flights.after_fork_in_child)

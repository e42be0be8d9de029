"""Alarms: what has to happen at a moment, whatever the workers do.

Retries wait in the native core, where workers look after them. A deadline must also come to a run whose workers are all
busy, so there is a thread for alarms, which exists only while there are some.
"""

from __future__ import annotations

import heapq
import itertools
import math
import sys
import threading
import time
from collections.abc import Callable

from execution_dataflow.process_life import ExitStep, watch

__all__ = ["Alarm", "Watchdog", "watchdog"]

# How long the thread waits for further alarms before it ends, and the longest that it sleeps in one go: an alarm that
# is cancelled wakes nobody.
_LINGER_SECONDS = 1.0


class Alarm:
    """A function that is to be called at a moment.

    Parameters
    ----------
    moment : float
        When, in seconds of ``time.monotonic()``.
    function : callable
        What; it must not take long, since others wait for the same thread.
    """

    __slots__ = ("function", "moment")

    def __init__(self, moment: float, function: Callable[[], object]) -> None:
        self.moment = moment
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        """Let it not be called, if it has not been yet."""
        self.function = None


class Watchdog:
    """Calls functions at their moments."""

    def __init__(self) -> None:
        # Reentrant, as a condition's lock is by itself: what happens under it may collect garbage.
        self._changed = threading.Condition()
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._sleeps_until = 0.0

    def call_at(self, moment: float, function: Callable[[], object]) -> Alarm:
        """Have a function called at a moment.

        Parameters
        ----------
        moment : float
            In seconds of ``time.monotonic()``; one that never comes costs nothing.
        function : callable
            What to call, on the thread of this watchdog.

        Returns
        -------
        Alarm
            To cancel it.

        Raises
        ------
        RuntimeError
            The system gives no thread for it, or the program is ending.
        """
        alarm = Alarm(moment, function)
        if math.isinf(moment):
            return alarm
        with self._changed:
            heapq.heappush(self._alarms, (moment, next(self._numbers), alarm))
            thread = self._thread
            if thread is None or not (thread.is_alive() or thread.ident is None):
                self._thread = thread = threading.Thread(
                    target=self._serve, name="execution-dataflow-watchdog", daemon=True
                )
                try:
                    thread.start()
                except BaseException:
                    if thread.ident is None:
                        self._thread = None
                    raise
            elif moment < self._sleeps_until:
                self._changed.notify()
        return alarm

    def _serve(self) -> None:
        while (alarm := self._next()) is not None:
            function, alarm.function = alarm.function, None
            try:
                if function is not None:
                    function()
            except BaseException:
                sys.excepthook(*sys.exc_info())  # the other alarms must come all the same

    def _next(self) -> Alarm | None:
        """Wait for the next alarm; ``None`` when there are none for a while."""
        with self._changed:
            idle_since: float | None = None
            while True:
                now = time.monotonic()
                while self._alarms and self._alarms[0][2].function is None:
                    heapq.heappop(self._alarms)
                if self._alarms:
                    idle_since = None
                    moment = self._alarms[0][0]
                    if moment <= now:
                        return heapq.heappop(self._alarms)[2]
                    until = min(moment, now + _LINGER_SECONDS)
                else:
                    idle_since = now if idle_since is None else idle_since
                    until = idle_since + _LINGER_SECONDS
                    if until <= now:
                        self._thread = None
                        return None
                self._sleeps_until = until
                self._changed.wait(until - now)

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread, and the alarms of its runs."""
        self._changed = threading.Condition()
        self._alarms = []
        self._thread = None

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Stop: runs are ended in another way."""
        if step is ExitStep.CLOSE:
            with self._changed:
                self._alarms.clear()
                self._changed.notify()


watchdog = Watchdog()
"""The one of this process."""
watch(watchdog)

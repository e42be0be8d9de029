"""The events of a run, counted: how many operations ended and how, and which run now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from execution_dataflow.events import (
    Event,
    GraphStarted,
    OperationCancelled,
    OperationCompleted,
    OperationEvent,
    OperationFailed,
    OperationProgress,
    OperationRestored,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)

__all__ = ["RunningOperation", "Tally"]


@dataclass(frozen=True, slots=True)
class RunningOperation:
    """An operation that runs now: since when (of ``time.monotonic()``), and what it said of itself."""

    since: float
    fraction: float | None = None
    note: str = ""


class Tally:
    """A subscriber that counts. The dispatcher's thread writes, and any other may read at the same time.

    Parameters
    ----------
    say : callable
        Is called with a line of text for each failure and each retry, as they come.

    Attributes
    ----------
    graph : str
        The name of the graph.
    total : int
        How many operations there are.
    ended : int
        How many of them ended, in whatever way.
    failed, skipped, retried : int
        How many failed, were skipped, and how many attempts were followed by another.
    restored : int
        How many had succeeded in an earlier execution of the run.
    running : dict of str to RunningOperation
        What runs now, by name; read a copy.

    Examples
    --------
    >>> tally = Tally(print)
    >>> tally(GraphStarted("nightly", 0, 1795390000.0, "etl", operations=2))
    >>> tally(OperationStarted("nightly", 1, 1795390000.0, "load", attempt=1, worker=0))
    >>> tally(OperationFailed("nightly", 2, 1795390000.0, "load", 1, None, "OSError: disk full"))
    load failed: OSError: disk full
    >>> tally.ended, tally.total, tally.failed, tally.running
    (1, 2, 1, {})
    """

    # What comes after so many failures is counted and no longer said.
    SAID = 20

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.graph = ""
        self.total = 0
        self.ended = 0
        self.failed = 0
        self.skipped = 0
        self.retried = 0
        self.restored = 0
        self.running: dict[str, RunningOperation] = {}

    def __call__(self, event: Event) -> None:
        """Count the event."""
        match event:
            case OperationStarted():
                self.running[event.operation] = RunningOperation(time.monotonic())
            case OperationCompleted():
                self._end(event)
            case OperationProgress():
                if (now := self.running.get(event.operation)) is not None:
                    self.running[event.operation] = RunningOperation(now.since, event.fraction, event.message)
            case OperationRetrying():
                self._retry(event)
            case OperationFailed():
                self._fail(event)
            case OperationSkipped():
                self.skipped += 1
                self._end(event)
            case OperationUpstreamFailed() | OperationCancelled():
                self._end(event)
            case OperationRestored():
                self.restored += 1
                self._end(event)
            case GraphStarted():
                self.graph, self.total = event.graph, event.operations

    def _end(self, event: OperationEvent) -> None:
        self.running.pop(event.operation, None)
        self.ended += 1

    def _fail(self, event: OperationFailed) -> None:
        self._end(event)
        self.failed += 1
        if self.failed <= self.SAID:
            more = "; further failures are counted, and not shown" if self.failed == self.SAID else ""
            self._say(f"{event.operation} failed: {event.message}{more}")

    def _retry(self, event: OperationRetrying) -> None:
        # It waits, and nothing of it runs.
        self.running.pop(event.operation, None)
        self.retried += 1
        if self.retried <= self.SAID:
            self._say(
                f"{event.operation}, attempt {event.attempt}: {event.message}; again in {event.delay_seconds:g} s"
            )

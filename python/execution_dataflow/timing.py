"""When an operation was queued, ran and ended."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OperationTiming"]


@dataclass(frozen=True, slots=True)
class OperationTiming:
    """The timing of one operation in one run, in seconds since the run began, from a clock that never goes back.

    Parameters
    ----------
    operation : str
        The stable identity of the operation.
    queued : float
        When all that it needs was there.
    started : float
        When its last attempt began.
    ended : float
        When its last attempt ended.
    attempts : int
        How many attempts there were.
    worker : int
        The worker that ran the last one; 0 is the thread that called ``run``.

    Examples
    --------
    >>> timing = OperationTiming("load", queued=0.0, started=0.25, ended=1.0, attempts=1, worker=0)
    >>> timing.queued_seconds, timing.seconds
    (0.25, 0.75)
    """

    operation: str
    queued: float
    started: float
    ended: float
    attempts: int
    worker: int

    @property
    def queued_seconds(self) -> float:
        """How long it waited from being ready to its last attempt."""
        return self.started - self.queued

    @property
    def seconds(self) -> float:
        """How long its last attempt took."""
        return self.ended - self.started

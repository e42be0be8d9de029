"""The exceptions by which an operation gives up, or is made to: they are raised in the middle of its code."""

from __future__ import annotations

__all__ = ["AttemptCancelled", "AttemptTimedOut", "OuterAttemptInterrupted", "absorb"]


class AttemptCancelled(BaseException):
    """Raised by ``context.raise_if_cancelled()``: the attempt ends CANCELLED, neither failed nor retried.

    It is also raised in the code of an operation that goes on when the grace of a cancelled run is over, at its next
    line of Python. It is no `Exception`, so that an ``except Exception`` in an operation does not swallow it: let it
    pass.

    Parameters
    ----------
    reason : str, optional
        Why the run was cancelled.

    Examples
    --------
    >>> print(AttemptCancelled("the user pressed stop"))
    the run was cancelled: the user pressed stop
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the run was cancelled: {self.reason}" if self.reason else "the run was cancelled"


class AttemptTimedOut(AttemptCancelled):
    """Raised in the code of an operation whose ``timeout_seconds`` are over; the result has an `OperationTimeout`.

    Examples
    --------
    >>> print(AttemptTimedOut())
    the operation was interrupted, since its time was over
    """

    def __str__(self) -> str:
        return "the operation was interrupted, since its time was over"


class OuterAttemptInterrupted(AttemptCancelled):
    """Raised in an operation of a run that another operation has begun, when that one is to end.

    It ends that run, and ``run()`` raises it in the operation that has begun it.
    """

    def __str__(self) -> str:
        return "the operation that has begun this run was interrupted"


def absorb() -> None:
    """Do nothing: an exception that was posted to this thread is raised here, for the native core to drop."""

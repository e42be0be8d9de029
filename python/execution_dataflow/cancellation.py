"""The exception by which an operation gives up because its run was cancelled."""

from __future__ import annotations

__all__ = ["AttemptCancelled"]


class AttemptCancelled(BaseException):
    """Raised by ``context.raise_if_cancelled()``: the attempt ends CANCELLED, neither failed nor retried.

    It is no `Exception`, so that an ``except Exception`` in an operation does not swallow it: let it pass.

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

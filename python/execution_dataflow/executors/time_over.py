"""The error of an attempt that took too long, wherever it ran."""

from __future__ import annotations

from execution_dataflow.cancellation import AttemptCancelled
from execution_dataflow.result_text import duration_text
from execution_dataflow.timeout_errors import OperationTimeout

__all__ = ["timeout_of"]


def timeout_of(
    operation: str,
    seconds: float,
    attempt: int,
    cause: BaseException | None,
    where: str | None = None,
    *,
    is_set_aside: bool = False,
    kind: str = "thread",
) -> OperationTimeout:
    """Return the error of an attempt that took too long.

    Parameters
    ----------
    operation : str
        The name of the operation.
    seconds : float
        How long it might take.
    attempt : int
        The number of the attempt.
    cause : BaseException or None
        What its code raised when it was interrupted.
    where : str, optional
        Where the code is that did not stop.
    is_set_aside : bool
        Whether it did not stop.
    kind : {"thread", "coroutine"}
        What was set aside.

    Returns
    -------
    OperationTimeout
        With the traceback of the code that was interrupted.
    """
    message = f"{operation!r} did not end within {duration_text(seconds)}"
    if is_set_aside:
        place = f" at {where}" if where is not None else ""
        message += f" and did not stop when it was interrupted; its {kind}, which is stuck{place}, was set aside"
    error = OperationTimeout(
        message,
        operation=operation,
        timeout_seconds=seconds,
        attempt=attempt,
        is_set_aside=is_set_aside,
        where=where,
    )
    if cause is None:
        return error
    from asyncio import CancelledError

    # What was raised in it to interrupt it says nothing that this error does not say, except where.
    if not isinstance(cause, AttemptCancelled | CancelledError):
        error.__cause__ = cause
    return error.with_traceback(cause.__traceback__)

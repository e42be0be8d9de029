"""What is reported when the time of an operation or of a run was over."""

from __future__ import annotations

from typing import Any

from execution_dataflow.errors import DataflowError, RunCancelled

__all__ = ["DeadlineExceeded", "OperationTimeout"]


class OperationTimeout(DataflowError, TimeoutError):
    """An attempt took longer than the operation's ``timeout_seconds``. A retry policy may name it.

    Its traceback shows where the operation was when it was interrupted, and its cause is what the operation raised
    then, if that was something of its own. A worker process is killed for it, and leaves neither.

    Parameters
    ----------
    message : str
        What happened.
    operation : str
        The name of the operation.
    timeout_seconds : float
        How long an attempt may take.
    attempt : int
        The number of the attempt, from 1.
    is_set_aside : bool
        Whether the code did not stop when it was interrupted, and was left to itself: its thread was replaced, and what
        it brings later is not used.
    where : str, optional
        Where such code was last seen, as ``file:line in function``.

    Examples
    --------
    >>> error = OperationTimeout("'load' did not end within 2 s", operation="load", timeout_seconds=2.0, attempt=1)
    >>> isinstance(error, TimeoutError), error.is_set_aside
    (True, False)
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        timeout_seconds: float = 0.0,
        attempt: int = 1,
        is_set_aside: bool = False,
        where: str | None = None,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.timeout_seconds = timeout_seconds
        self.attempt = attempt
        self.is_set_aside = is_set_aside
        self.where = where


class DeadlineExceeded(RunCancelled, TimeoutError):
    """A run that was cancelled because its ``deadline_seconds`` were over, raised by ``result.raise_if_failed()``.

    Attributes
    ----------
    result : ExecutionResult
        The result of the run, whose state is CANCELLED.
    operation : str or None
        The name of an operation that failed before that.
    deadline_seconds : float
        How long the run might take.
    """

    def __init__(
        self,
        message: str = "",
        *,
        result: Any = None,
        operation: str | None = None,
        deadline_seconds: float = 0.0,
    ) -> None:
        super().__init__(message, result=result, operation=operation)
        self.deadline_seconds = deadline_seconds

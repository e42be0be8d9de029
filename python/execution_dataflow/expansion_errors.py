"""What goes wrong in branches, in loops, and inside of operations that were expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from execution_dataflow.errors import DataflowError

__all__ = ["ExpansionError", "IterationLimitError", "SwitchError"]


class ExpansionError(DataflowError):
    """An operation inside of a dynamic operation, or of a loop, has failed; its exception is the cause.

    A retry policy looks at `exception`, and not at this.

    Attributes
    ----------
    operation : str or None
        The stable identity of the operation inside that failed, such as ``"train/fit"`` or ``"solve[3]/step"``.
    exception : BaseException
        What it raised.
    failed : tuple of str
        All operations inside that failed, in topological order.

    Examples
    --------
    >>> cause = ValueError("no rows")
    >>> error = ExpansionError("train/fit failed: ValueError: no rows", operation="train/fit", exception=cause)
    >>> error.exception
    ValueError('no rows')
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        exception: BaseException | None = None,
        failed: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.exception: BaseException = self if exception is None else exception
        self.failed = tuple(failed)


class IterationLimitError(DataflowError):
    """A loop came to its ``max_iterations`` before its ``until`` was true.

    Attributes
    ----------
    operation : str or None
        The stable identity of the loop.
    max_iterations : int
        How many iterations it had.
    outputs : dict of str to object
        What the last of them came to.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        max_iterations: int = 0,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.max_iterations = max_iterations
        self.outputs = dict(outputs or {})


class SwitchError(DataflowError):
    """A switch met a value that none of its cases is for, and it has no default.

    Attributes
    ----------
    value : object
        What decides.
    cases : tuple of str
        The names of its cases.
    """

    def __init__(self, message: str = "", *, value: Any = None, cases: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.value = value
        self.cases = tuple(cases)

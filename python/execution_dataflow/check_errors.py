"""Errors of checks: values that do not pass, and checks that cannot be evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from execution_dataflow.errors import ContractError

__all__ = ["BrokenCheckError", "CheckFailed"]


class CheckFailed(ContractError):
    """A value did not pass a check of its port whose severity is ``"fail"``.

    It is not retried, unless a `RetryPolicy` names it in ``retry_on``: what is read again may be whole by then.

    Parameters
    ----------
    message : str
        Which checks, of which ports, and the first rows or values.
    operation : str
        The operation, or the item of a map.
    port : str
        The port of the first of them.
    outcomes : sequence of CheckOutcome
        The outcomes of the checks that failed.

    Attributes
    ----------
    outcomes : tuple of CheckOutcome
        The outcomes of the checks that failed, in the order of ports.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        port: str | None = None,
        outcomes: Sequence[Any] = (),
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.outcomes = tuple(outcomes)


class BrokenCheckError(ContractError):
    """A check could not be evaluated: it raised, names a column that is not there, or returned no answer.

    What it raised is the cause. Whatever its severity, the attempt fails: nobody knows whether the value is good.

    Parameters
    ----------
    message : str
        Which check, of which port, and why.
    operation, port : str
        Where.
    check : str
        The name of the check.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        port: str | None = None,
        check: str = "",
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.check = check

"""What happens when an operation fails: retries of the operation, and the fate of the rest of the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal, TypeAlias, cast, get_args

from execution_dataflow.check_errors import CheckFailed
from execution_dataflow.errors import ContractError, GraphError
from execution_dataflow.expansion_errors import ExpansionError

__all__ = ["FailurePolicy", "RetryPolicy", "check_failure_policy"]

FailurePolicy: TypeAlias = Literal["fail_fast", "continue"]
"""``"fail_fast"``: nothing new starts after a failure. ``"continue"``: all that can finish does (rule R4)."""

ExceptionTypes: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]

# 48 days: the longest delay that the timers of every platform take (Windows counts milliseconds in 32 bits).
_LONGEST_DELAY_SECONDS = float(2**22)


_FAULTS_OF_THE_PROGRAM = (ContractError, GraphError)


def check_failure_policy(value: object) -> FailurePolicy:
    """Return `value` if it is a failure policy.

    Parameters
    ----------
    value : object
        What a user gave as ``failure_policy=``.

    Returns
    -------
    {"fail_fast", "continue"}
        The same value.

    Raises
    ------
    ValueError
        It is not a failure policy.

    Examples
    --------
    >>> check_failure_policy("continue")
    'continue'
    """
    choices = get_args(FailurePolicy)
    if isinstance(value, str) and value in choices:
        return cast(FailurePolicy, value)
    raise ValueError(f"failure_policy must be one of {', '.join(map(repr, choices))}, not {value!r}")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a failed operation is attempted again (rule R6).

    Parameters
    ----------
    max_attempts : int
        The number of attempts in all, the first included.
    delay_seconds : float
        The wait before the second attempt.
    backoff : float
        What the wait is multiplied by before each further attempt; 1 or more.
    max_delay_seconds : float or None
        The wait is never longer than this, before `jitter`.
    jitter : float
        A fraction from 0 to 1: the wait is drawn uniformly from this far around what it would be.
    retry_on : exception class or tuple of them
        Only these are retried.
    give_up_on : exception class or tuple of them
        These are never retried, even if `retry_on` has them.

    Raises
    ------
    TypeError, ValueError
        A parameter is of the wrong type or out of its range.

    Examples
    --------
    >>> policy = RetryPolicy(max_attempts=3, delay_seconds=0.5, backoff=2.0)
    >>> policy.next_delay(1, OSError("busy"), lambda: 0.5)
    0.5
    >>> policy.next_delay(2, OSError("busy"), lambda: 0.5)
    1.0
    >>> policy.next_delay(3, OSError("busy"), lambda: 0.5) is None
    True
    """

    max_attempts: int = 3
    delay_seconds: float = 0
    backoff: float = 1
    max_delay_seconds: float | None = None
    jitter: float = 0
    retry_on: ExceptionTypes = Exception
    give_up_on: ExceptionTypes = ()

    def __post_init__(self) -> None:
        if isinstance(self.max_attempts, bool) or not isinstance(self.max_attempts, int):
            raise TypeError(f"RetryPolicy(max_attempts=) must be an int, not {self.max_attempts!r}")
        if self.max_attempts < 1:
            raise ValueError(
                f"RetryPolicy(max_attempts=) must be 1 or more, not {self.max_attempts}: it counts the first attempt"
            )
        _check_number("delay_seconds", self.delay_seconds, least=0)
        _check_number("backoff", self.backoff, least=1)
        _check_number("jitter", self.jitter, least=0, most=1)
        if self.max_delay_seconds is not None:
            _check_number("max_delay_seconds", self.max_delay_seconds, least=0)
        object.__setattr__(self, "retry_on", _exception_types("retry_on", self.retry_on))
        object.__setattr__(self, "give_up_on", _exception_types("give_up_on", self.give_up_on))

    def next_delay(self, attempt: int, error: BaseException, uniform: Callable[[], float]) -> float | None:
        """Return how long to wait before the next attempt, or ``None`` to give up.

        Parameters
        ----------
        attempt : int
            The number of the attempt that failed, from 1.
        error : BaseException
            What it failed with. A `ContractError` or a `GraphError` is never retried: it would only come again. A
            `CheckFailed` is where `retry_on` names that class. Of an `ExpansionError`, what counts is the exception of
            the operation inside.
        uniform : callable
            Draws a number from 0 to 1; called only where there is jitter.

        Returns
        -------
        float or None
            Seconds.
        """
        if isinstance(error, ExpansionError):
            error = error.exception
        if attempt >= self.max_attempts:
            return None
        if isinstance(error, _FAULTS_OF_THE_PROGRAM) and not (isinstance(error, CheckFailed) and self._names_checks()):
            return None
        if isinstance(error, self.give_up_on):
            return None
        if not isinstance(error, self.retry_on):
            return None
        if self.delay_seconds == 0:
            return 0.0
        try:
            delay = self.delay_seconds * float(self.backoff) ** (attempt - 1)
        except OverflowError:
            delay = _LONGEST_DELAY_SECONDS
        if self.max_delay_seconds is not None:
            delay = min(delay, self.max_delay_seconds)
        if self.jitter:
            delay *= 1 + self.jitter * (2 * uniform() - 1)
        return float(min(delay, _LONGEST_DELAY_SECONDS))

    def _names_checks(self) -> bool:
        kinds = self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,)
        return any(issubclass(kind, CheckFailed) for kind in kinds)


def _check_number(name: str, value: object, *, least: float, most: float | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"RetryPolicy({name}=) must be a number, not {value!r}")
    if not isfinite(value) or value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise ValueError(f"RetryPolicy({name}=) must be {bounds}, not {value!r}")


def _exception_types(name: str, value: object) -> ExceptionTypes:
    """Check exception classes, and turn any sequence of them into the tuple that ``isinstance`` needs."""
    kinds = tuple(value) if isinstance(value, list | set | frozenset) else value
    for kind in kinds if isinstance(kinds, tuple) else (kinds,):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"RetryPolicy({name}=) must be an exception class or a tuple of them, not {kind!r}")
    return cast(ExceptionTypes, kinds)

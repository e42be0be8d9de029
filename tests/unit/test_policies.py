"""When a failed operation is attempted again (rule R6)."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from execution_dataflow.errors import (
    ContractError,
    OutputNotSetError,
    OutsideRunError,
    UnknownPortError,
    ValueTypeError,
)
from execution_dataflow.policies import RetryPolicy, check_failure_policy


def middle() -> float:
    return 0.5


def no_draw() -> float:
    raise AssertionError("a policy without jitter draws no random number")


def test_the_defaults_are_three_attempts_without_a_wait() -> None:
    """R6: `max_attempts` counts the first attempt."""
    policy = RetryPolicy()
    assert policy.next_delay(1, ValueError(), no_draw) == 0
    assert policy.next_delay(2, ValueError(), no_draw) == 0
    assert policy.next_delay(3, ValueError(), no_draw) is None


def test_one_attempt_is_never_repeated() -> None:
    """R6."""
    assert RetryPolicy(max_attempts=1).next_delay(1, ValueError(), no_draw) is None


def test_the_delay_grows_by_the_backoff_up_to_its_maximum() -> None:
    """R6."""
    policy = RetryPolicy(max_attempts=9, delay_seconds=0.5, backoff=2, max_delay_seconds=3)
    assert [policy.next_delay(attempt, OSError(), no_draw) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3, 3]


@pytest.mark.parametrize(("drawn", "expected"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_jitter_spreads_the_delay_around_what_it_would_be(drawn: float, expected: float) -> None:
    """R6: jitter is a fraction of the delay."""
    policy = RetryPolicy(delay_seconds=10, jitter=0.2)
    assert policy.next_delay(1, OSError(), lambda: drawn) == pytest.approx(expected)


def test_only_the_given_exceptions_are_retried() -> None:
    """R6: `retry_on` takes one class or several."""
    assert RetryPolicy(retry_on=OSError).next_delay(1, TimeoutError(), middle) == 0
    assert RetryPolicy(retry_on=(KeyError, OSError)).next_delay(1, ValueError(), middle) is None
    assert RetryPolicy().next_delay(1, SystemExit(), middle) is None


def test_give_up_on_wins_over_retry_on() -> None:
    """R6."""
    policy = RetryPolicy(retry_on=OSError, give_up_on=FileNotFoundError)
    assert policy.next_delay(1, PermissionError(), middle) == 0
    assert policy.next_delay(1, FileNotFoundError(), middle) is None


@pytest.mark.parametrize(
    "error",
    [
        ContractError("broken"),
        OutputNotSetError("unset"),
        ValueTypeError("wrong"),
        OutsideRunError("outside"),
        UnknownPortError("op", "a", ["b"]),
    ],
)
def test_a_broken_contract_is_never_retried(error: Exception) -> None:
    """R2: another attempt would break it again."""
    assert RetryPolicy(retry_on=BaseException).next_delay(1, error, middle) is None


def test_a_delay_beyond_all_bounds_is_one_that_a_timer_can_take() -> None:
    policy = RetryPolicy(max_attempts=10_000, delay_seconds=1, backoff=10)
    assert policy.next_delay(5_000, OSError(), no_draw) == 2**22


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"max_attempts": 0}, ValueError, "max_attempts=.*1 or more"),
        ({"max_attempts": 2.5}, TypeError, "max_attempts=.*int"),
        ({"max_attempts": True}, TypeError, "max_attempts=.*int"),
        ({"delay_seconds": -1}, ValueError, "delay_seconds=.*0 or more"),
        ({"delay_seconds": float("nan")}, ValueError, "delay_seconds="),
        ({"delay_seconds": "5"}, TypeError, "delay_seconds=.*number"),
        ({"backoff": 0.5}, ValueError, "backoff=.*1 or more"),
        ({"jitter": 1.5}, ValueError, "jitter=.*from 0 to 1"),
        ({"max_delay_seconds": -1}, ValueError, "max_delay_seconds="),
        ({"retry_on": "OSError"}, TypeError, "retry_on=.*exception class"),
        ({"retry_on": (OSError, 3)}, TypeError, "retry_on=.*exception class"),
        ({"give_up_on": int}, TypeError, "give_up_on=.*exception class"),
    ],
)
def test_bad_values_are_refused_by_name(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        RetryPolicy(**options)


def test_a_policy_is_a_value() -> None:
    policy = RetryPolicy(max_attempts=5, retry_on=[OSError, KeyError])  # type: ignore[arg-type]
    assert policy == RetryPolicy(max_attempts=5, retry_on=(OSError, KeyError))
    assert hash(policy) == hash(RetryPolicy(max_attempts=5, retry_on=(OSError, KeyError)))
    assert pickle.loads(pickle.dumps(policy)) == policy
    with pytest.raises(AttributeError):
        policy.max_attempts = 1  # type: ignore[misc]


def test_a_failure_policy_is_one_of_two() -> None:
    """R4."""
    assert check_failure_policy("fail_fast") == "fail_fast"
    with pytest.raises(ValueError, match="'fail_fast', 'continue', not 'fail-fast'"):
        check_failure_policy("fail-fast")

"""Checks of what flows through ports: ready ones, one's own, and the report of what they found.

Examples
--------
>>> from execution_dataflow.checks import in_range, not_null
>>> print(in_range("delay", high=60).evaluate({"delay": [5, 700, None]}).message)
in_range(delay, high=60): 1 of 3 rows does not pass: row 1 (delay=700)
>>> not_null("delay").evaluate([{"delay": 5}, {"delay": 7}]).passed
True
"""

from typing import TYPE_CHECKING, Any

from execution_dataflow.checks.check import Check
from execution_dataflow.checks.outcome import CheckOutcome, Severity
from execution_dataflow.checks.report import CheckReport, CheckSummary

if TYPE_CHECKING:
    from execution_dataflow.checks.ready import in_range, in_set, matches, not_null, references, row_count, unique

__all__ = [
    "Check",
    "CheckOutcome",
    "CheckReport",
    "CheckSummary",
    "Severity",
    "in_range",
    "in_set",
    "matches",
    "not_null",
    "references",
    "row_count",
    "unique",
]


def __getattr__(name: str) -> Any:
    # Loaded with the first ready check: `import execution_dataflow` needs none.
    if name in __all__:
        from execution_dataflow.checks import ready

        return getattr(ready, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""Checks of what flows through ports: ready ones, one's own, and the report of what they found.

Examples
--------
>>> from execution_dataflow.checks import in_range, not_null
>>> print(in_range("delay", high=60).evaluate({"delay": [5, 700, None]}).message)
in_range(delay, high=60): 1 of 3 rows does not pass: row 1 (delay=700)
>>> not_null("delay").evaluate([{"delay": 5}, {"delay": 7}]).passed
True
"""

from execution_dataflow.checks.check import Check
from execution_dataflow.checks.outcome import CheckOutcome, Severity
from execution_dataflow.checks.ready import in_range, in_set, matches, not_null, references, row_count, unique
from execution_dataflow.checks.report import CheckReport, CheckSummary

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

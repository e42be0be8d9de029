"""What all checks of a run found, as one object: counts, findings, a table, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from execution_dataflow.checks.outcome import CheckOutcome, Severity

__all__ = ["CheckReport", "CheckSummary"]

_WIDEST = 100


@dataclass(frozen=True, slots=True)
class CheckSummary:
    """What one check of one port came to in a run: once, or for every item of a map.

    Attributes
    ----------
    operation : str
        The operation; of a map, that of its items.
    port : str
        The port.
    direction : {"input", "output"}
        What kind of port.
    check : str
        The name of the check.
    severity : {"fail", "warn", "record"}
        What it means that it is not passed.
    description : str
        What it is for.
    evaluated : int
        How many values it was asked about; 0 where the operation did not come to it.
    passed : int
        How many of them passed.
    findings : tuple of CheckOutcome
        Those that did not pass, the first 100 of them.
    """

    operation: str
    port: str
    direction: Literal["input", "output"]
    check: str
    severity: Severity
    description: str = ""
    evaluated: int = 0
    passed: int = 0
    findings: tuple[CheckOutcome, ...] = field(default=(), repr=False)

    @property
    def not_passed(self) -> int:
        """How many values did not pass."""
        return self.evaluated - self.passed

    @property
    def status(self) -> str:
        """``"passed"``, ``"failed"``, ``"warned"``, ``"recorded"`` or ``"not evaluated"``."""
        if not self.evaluated:
            return "not evaluated"
        if not self.not_passed:
            return "passed"
        return {"fail": "failed", "warn": "warned", "record": "recorded"}[self.severity]

    @property
    def message(self) -> str:
        """What was found, as a sentence."""
        if not self.findings:
            return self.check
        first = self.findings[0]
        if self.evaluated == 1:
            return first.message
        at = first.operation[len(self.operation) :]
        return f"{self.not_passed} of {self.evaluated} values; the first{f', {at},' if at else ''} {first.message}"

    def to_dict(self) -> dict[str, Any]:
        """Return its fields with what follows from them; fit for JSON."""
        return {
            "operation": self.operation,
            "port": self.port,
            "direction": self.direction,
            "check": self.check,
            "severity": self.severity,
            "description": self.description,
            "status": self.status,
            "evaluated": self.evaluated,
            "passed": self.passed,
            "not_passed": self.not_passed,
            "findings": [finding.to_dict() for finding in self.findings],
        }


class CheckReport:
    """What the checks of a run found: ``result.checks``. It prints as a table.

    Parameters
    ----------
    summaries : iterable of CheckSummary
        One for each check of each port, in the order of operations.
    name_of : callable, optional
        Takes an operation and returns its name in the run.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, Operation, OutputPort
    >>> from execution_dataflow.checks import in_range, not_null
    >>> class Measure(Operation):
    ...     degrees = OutputPort(list, checks=[not_null(), in_range(low=-60, high=60, severity="warn")])
    ...
    ...     def execute(self, context):
    ...         self.degrees = [21.5, 19.0, 451.0]
    >>> graph = GraphDefinition()
    >>> _ = graph.add(Measure())
    >>> report = ExecutionEngine().run(graph).checks
    >>> report.passed, report.warned, report.failed
    (1, 1, 0)
    >>> print(report)
    2 checks: 1 passed, 1 warned
    status  operation.port   check                       found
    ------  ---------------  --------------------------  --------------------------------------
    passed  Measure.degrees  not_null()
    warned  Measure.degrees  in_range(low=-60, high=60)  1 of 3 rows does not pass: row 2 (451.0)
    """

    def __init__(self, summaries: Iterable[CheckSummary] = (), name_of: Callable[[Any], str] | None = None) -> None:
        self.summaries = tuple(summaries)
        self._name_of = name_of

    @property
    def passed(self) -> int:
        """How many checks passed, for every value that they were asked about."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """How many checks of severity ``"fail"`` were not passed."""
        return self._count("failed")

    @property
    def warned(self) -> int:
        """How many checks of severity ``"warn"`` were not passed."""
        return self._count("warned")

    @property
    def recorded(self) -> int:
        """How many checks of severity ``"record"`` were not passed."""
        return self._count("recorded")

    @property
    def not_evaluated(self) -> int:
        """How many checks were never asked: their operations did not run, or had no value for the port."""
        return self._count("not evaluated")

    @property
    def findings(self) -> list[CheckOutcome]:
        """Everything that did not pass, in the order of operations; the first 100 of each check."""
        return [finding for summary in self.summaries for finding in summary.findings]

    def of(self, operation: Any, port: str | None = None) -> CheckReport:
        """Return what concerns one operation, or one of its ports.

        Parameters
        ----------
        operation : Operation or str
            The operation or its name.
        port : str, optional
            The port.

        Returns
        -------
        CheckReport
            Empty where nothing was to be checked.

        Raises
        ------
        UnknownOperationError
            An operation was given that has no part in the run.
        """
        name = self._name_of(operation) if self._name_of is not None and not isinstance(operation, str) else operation
        found = [
            summary
            for summary in self.summaries
            if summary.operation == name and (port is None or summary.port == port)
        ]
        return CheckReport(found, self._name_of)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, fit for JSON."""
        counts = {status.replace(" ", "_"): self._count(status) for status in _STATUSES}
        return {**counts, "checks": [summary.to_dict() for summary in self.summaries]}

    def to_json(self, indent: int | None = None) -> str:
        """Return all of it as JSON.

        Parameters
        ----------
        indent : int, optional
            How far lines are indented; all on one line by default.

        Returns
        -------
        str
            A JSON object with the counts and ``checks``.
        """
        import json

        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False)

    def lines(self) -> Iterator[str]:
        """Give the lines of the table."""
        yield self.headline()
        if not self.summaries:
            return
        rows = [
            (summary.status, f"{summary.operation}.{summary.port}", _short(summary.check), _short(_found(summary)))
            for summary in self.summaries
        ]
        titles = ("status", "operation.port", "check", "found")
        widths = [max(len(row[at]) for row in (titles, *rows)) for at in range(4)]
        # What was found is the last column, and as wide as it likes.
        rule = tuple("-" * width for width in (*widths[:3], min(widths[3], 38)))
        for row in (titles, rule, *rows):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    def headline(self) -> str:
        """Return the counts as one line."""
        counts = [f"{count} {status}" for status in _STATUSES if (count := self._count(status))]
        total = sum(self._count(status) for status in _STATUSES)
        return f"{total} check{'' if total == 1 else 's'}{': ' if counts else ''}{', '.join(counts)}"

    def _count(self, status: str) -> int:
        if status == "passed":
            return sum(summary.passed for summary in self.summaries)
        if status == "not evaluated":
            return sum(not summary.evaluated for summary in self.summaries)
        return sum(summary.not_passed for summary in self.summaries if summary.status == status)

    def __len__(self) -> int:
        return len(self.summaries)

    def __iter__(self) -> Iterator[CheckSummary]:
        return iter(self.summaries)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return f"<CheckReport: {self.headline()}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


_STATUSES = ("passed", "failed", "warned", "recorded", "not evaluated")


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _found(summary: CheckSummary) -> str:
    if summary.evaluated > 1 and not summary.findings:
        return f"{summary.evaluated} values"
    if not summary.findings:
        return ""
    first = summary.findings[0]
    return summary.message.replace(f"{first.check}: ", "", 1)

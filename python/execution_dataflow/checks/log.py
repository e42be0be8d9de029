"""What the checks of one run found so far: counted, so that a map over a million items does not keep a million."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import NamedTuple

from execution_dataflow.checks.outcome import CheckOutcome, CheckPlace
from execution_dataflow.checks.report import CheckSummary

__all__ = ["CheckLog", "DeclaredCheck"]

_MOST_FINDINGS = 100
# A map can warn a million times: a person reads the first, and the report has the count.
_MOST_LOGGED = 10


class DeclaredCheck(NamedTuple):
    """A check of a port of an operation of the plan."""

    node: int
    place: CheckPlace
    summary: CheckSummary


class _Tally:
    """One check of one port of one operation."""

    __slots__ = ("evaluated", "findings", "first", "passed")

    def __init__(self, first: CheckOutcome) -> None:
        self.first = first
        self.evaluated = 0
        self.passed = 0
        self.findings: list[CheckOutcome] = []

    def add(self, outcome: CheckOutcome) -> None:
        self.evaluated += 1
        if outcome.passed:
            self.passed += 1
        elif len(self.findings) < _MOST_FINDINGS:
            self.findings.append(outcome)


class CheckLog:
    """The outcomes of one run, by operation; from any thread.

    An attempt that failed counts until another one takes its place.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tallies: dict[int, dict[CheckPlace, _Tally]] = {}
        # The outcomes of the last attempt of what has failed.
        self._failed: dict[tuple[int, tuple[int, ...], str], tuple[int, Sequence[CheckOutcome]]] = {}
        self._warned: dict[tuple[int, str, str], int] = {}

    def note(
        self, node: int, items: tuple[int, ...], label: str, outcomes: Sequence[CheckOutcome], is_success: bool
    ) -> list[str]:
        """Take the outcomes of an attempt.

        Parameters
        ----------
        node : int
            The index of the operation.
        items : tuple of int
            Which item of a map it is.
        label : str
            What runs there: a fallback has checks of its own.
        outcomes : sequence of CheckOutcome
            What was found.
        is_success : bool
            Whether the attempt has succeeded.

        Returns
        -------
        list of str
            What is to be logged as warnings: the first of each check.
        """
        key = node, items, label
        with self._lock:
            texts = [text for outcome in outcomes if outcome.status == "warned" for text in self._warn(node, outcome)]
            if not is_success:
                if outcomes:
                    known = self._failed.get(key)
                    attempt = outcomes[0].attempt
                    if known is None or attempt >= known[0]:
                        self._failed[key] = attempt, tuple(outcomes)
                return texts
            self._failed.pop(key, None)
            _count(self._tallies.setdefault(node, {}), label, outcomes)
            return texts

    def _warn(self, node: int, outcome: CheckOutcome) -> list[str]:
        check = node, outcome.port, outcome.check
        count = self._warned[check] = self._warned.get(check, 0) + 1
        if count > _MOST_LOGGED:
            return []
        rest = "; further warnings of this check are only in result.checks" if count == _MOST_LOGGED else ""
        return [f"{outcome}{rest}"]

    def summaries(
        self, declared: Iterable[DeclaredCheck], name_of: Callable[[int], str], order: Sequence[int]
    ) -> list[CheckSummary]:
        """Return what was found, and what was not looked at, in the order of operations."""
        with self._lock:
            tallies = {node: {place: _copy(tally) for place, tally in of.items()} for node, of in self._tallies.items()}
            failed = sorted(self._failed.items(), key=lambda item: item[0][:2])
        for (node, _, label), (_, outcomes) in failed:
            _count(tallies.setdefault(node, {}), label, outcomes)
        expected: dict[int, list[DeclaredCheck]] = {}
        for check in declared:
            expected.setdefault(check.node, []).append(check)
        summaries = []
        # What was made while the run went on has no place in the order, and comes last.
        for node in (*order, *sorted(tallies.keys() - set(order))):
            if node not in tallies and node not in expected:
                continue
            found = tallies.get(node, {})
            for check in expected.get(node, ()):
                tally = found.pop(check.place, None)
                summaries.append(check.summary if tally is None else _summary(name_of(node), tally))
            # Those of what stood in for the operation.
            summaries += [_summary(name_of(node), tally) for tally in found.values()]
        return summaries


def _count(tallies: dict[CheckPlace, _Tally], label: str, outcomes: Sequence[CheckOutcome]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for outcome in outcomes:
        number = seen.get((outcome.direction, outcome.port), 0)
        seen[outcome.direction, outcome.port] = number + 1
        place = label, outcome.direction, outcome.port, number
        tally = tallies.get(place)
        if tally is None:
            tally = tallies[place] = _Tally(outcome)
        tally.add(outcome)


def _copy(tally: _Tally) -> _Tally:
    twin = _Tally(tally.first)
    twin.evaluated, twin.passed, twin.findings = tally.evaluated, tally.passed, list(tally.findings)
    return twin


def _summary(operation: str, tally: _Tally) -> CheckSummary:
    first = tally.first
    return CheckSummary(
        operation,
        first.port,
        first.direction,
        first.check,
        first.severity,
        first.description,
        tally.evaluated,
        tally.passed,
        tuple(tally.findings),
    )

"""The result of a run as text: one glance, one page, one notebook cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.quantities import duration_text
from execution_dataflow.states import OperationState, RunState
from execution_dataflow.timing import OperationTiming

__all__ = ["BlamedOperations", "ResultFacts", "duration_text", "html_text", "listed", "short_text", "summary_text"]

_LONGEST_NAME = 48
_SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class BlamedOperations:
    """Operations that did not run because one failed."""

    blame: str
    count: int
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class ResultFacts:
    """What the texts show, already reduced to as many rows as they may have."""

    graph: str
    run_id: str
    state: RunState
    seconds: float
    counts: Sequence[tuple[OperationState, int]]
    slowest: Sequence[OperationTiming] = ()
    ran: int = 0
    errors: Sequence[ErrorRecord] = ()
    failed: int = 0
    blamed: Sequence[BlamedOperations] = ()
    cancelled_by: str | None = None
    dropped_events: int = 0
    notes: Sequence[str] = ()


def listed(names: Sequence[str], count: int) -> str:
    """Return the first of several names, quoted, and how many more there are.

    Parameters
    ----------
    names : sequence of str
        The names, or the first of them.
    count : int
        How many there are in all.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> listed(["load", "clean"], 2), listed(["load"], 4)
    ("'load', 'clean'", "'load' and 3 more")
    """
    shown = names[:_SHOWN_NAMES]
    text = ", ".join(repr(_clipped(name)) for name in shown)
    return text if count <= len(shown) else f"{text} and {count - len(shown)} more"


def short_text(facts: ResultFacts) -> str:
    """Return a few lines for a terminal: what a person wants to see first.

    Parameters
    ----------
    facts : ResultFacts
        What to show.

    Returns
    -------
    str
        Two or three lines between angle brackets.
    """
    lines = [f"ExecutionResult {_headline(facts)}", f"  {_counts_line(facts)}"]
    if facts.errors:
        first = facts.errors[0]
        more = f" (and {facts.failed - 1} more)" if facts.failed > 1 else ""
        lines.append(f"  {first.operation!r} failed: {_one_line(first.message)}{more}")
    return f"<{chr(10).join(lines)}>"


def summary_text(facts: ResultFacts) -> str:
    """Return a page of text: state, counts, the slowest operations, the errors.

    Parameters
    ----------
    facts : ResultFacts
        What to show.

    Returns
    -------
    str
        Lines without a trailing newline.
    """
    lines = [_headline(facts), _counts_line(facts)]
    if facts.cancelled_by:
        lines.append(f"cancelled: {facts.cancelled_by}")
    if facts.dropped_events:
        lines.append(f"{facts.dropped_events} events were dropped, because subscribers were too slow")
    lines += map(_both_ends, facts.notes)
    if facts.slowest:
        lines += ["", *_slowest_lines(facts)]
    if facts.errors:
        lines += ["", "errors, in the order of the graph"]
        for number, error in enumerate(facts.errors, 1):
            first, *rest = error.describe().splitlines()
            lines += [f"  {number}. {first}", *(f"     {line}" for line in rest)]
        if facts.failed > len(facts.errors):
            lines.append(f"  and {facts.failed - len(facts.errors)} more")
    if facts.blamed:
        lines.append("")
        lines += [_blamed_line(group) for group in facts.blamed]
    return "\n".join(lines)


def html_text(facts: ResultFacts) -> str:
    """Return the summary as HTML for a notebook. Everything that comes from outside is escaped.

    Parameters
    ----------
    facts : ResultFacts
        What to show.

    Returns
    -------
    str
        One ``div``.
    """
    from html import escape

    parts = [f"<div><p><strong>{escape(_headline(facts))}</strong><br>{escape(_counts_line(facts))}"]
    if facts.cancelled_by:
        parts.append(f"<br>cancelled: {escape(facts.cancelled_by)}")
    if facts.dropped_events:
        parts.append(f"<br>{facts.dropped_events} events were dropped, because subscribers were too slow")
    parts.append("</p>")
    if facts.slowest:
        heads = "".join(f"<th>{head}</th>" for head in ("operation", "took", "waited", "attempts", "worker"))
        parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>")
        for timing in facts.slowest:
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in _row(timing))
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody></table>")
        if facts.ran > len(facts.slowest):
            parts.append(f"<p>and {facts.ran - len(facts.slowest)} faster operations</p>")
    for error in facts.errors:
        parts.append(
            f"<details><summary>{escape(error.describe())}</summary><pre>{escape(error.traceback_text)}</pre></details>"
        )
    if facts.failed > len(facts.errors):
        parts.append(f"<p>and {facts.failed - len(facts.errors)} more failed operations</p>")
    parts += [f"<p>{escape(_blamed_line(group))}</p>" for group in facts.blamed]
    return "".join([*parts, "</div>"])


def _headline(facts: ResultFacts) -> str:
    return f"graph {facts.graph!r}, run {facts.run_id!r}: {facts.state.value} in {duration_text(facts.seconds)}"


def _counts_line(facts: ResultFacts) -> str:
    total = sum(count for _, count in facts.counts)
    if not total:
        return "no operations"
    counts = ", ".join(f"{count} {state.name}" for state, count in facts.counts)
    return f"{total} operation{'s' if total != 1 else ''}: {counts}"


def _slowest_lines(facts: ResultFacts) -> list[str]:
    table = [("slowest operations", "took", "waited", "attempts", "worker"), *map(_row, facts.slowest)]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    lines = []
    for name, *cells in table:
        columns = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *columns]))
    if facts.ran > len(facts.slowest):
        lines.append(f"and {facts.ran - len(facts.slowest)} faster operations")
    return lines


def _row(timing: OperationTiming) -> tuple[str, str, str, str, str]:
    return (
        _clipped(timing.operation),
        duration_text(timing.seconds),
        duration_text(timing.queued_seconds),
        str(timing.attempts),
        str(timing.worker),
    )


def _blamed_line(group: BlamedOperations) -> str:
    return f"did not run because {group.blame!r} failed: {listed(group.names, group.count)}"


def _clipped(name: str) -> str:
    """A name that fits a column: its end is what tells mapped and nested operations apart, so the middle goes."""
    if len(name) <= _LONGEST_NAME:
        return name
    head = _LONGEST_NAME // 2
    return f"{name[:head]}…{name[-(_LONGEST_NAME - head - 1) :]}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:159]}…"


def _both_ends(text: str) -> str:
    # A note begins with what failed and ends with what followed; a long message or path is in the middle.
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:109]} … {line[-48:]}"

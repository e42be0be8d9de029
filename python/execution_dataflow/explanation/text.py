"""An explanation as a page of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from execution_dataflow.quantities import bytes_text, counted, duration_text

if TYPE_CHECKING:
    from execution_dataflow.explanation.facts import Explanation, MemoryFacts, WorkFacts

__all__ = ["explanation_text"]

_ROWS = 12
_PATH_ENDS = 4


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation as lines without a trailing newline.

    Parameters
    ----------
    explanation : Explanation
        What is known of a plan.

    Returns
    -------
    str
        At most about a hundred lines, however large the plan is.
    """
    it = explanation
    head = f"graph {it.graph!r}: {counted(it.operations, 'operation')}, {counted(it.channels, 'channel')}"
    if it.dependencies:
        head += f", {counted(it.dependencies, 'dependency', 'dependencies')} without data"
    lines = [
        head,
        f"shape: {counted(it.depth, 'level')}, at most {counted(it.width, 'operation')} on one; {_levels(it.levels)}",
        f"critical path: {_path(it.critical_path)}",
        *_work(it.work, it.operations),
        *_memory(it.memory),
    ]
    if it.gates > it.levels[0] if it.levels else False:
        lines.append(f"order: {counted(it.gates - it.levels[0], 'operation')} held back to keep memory low")
    lines += _section(
        "channels",
        (
            f"{flow.source}: {flow.source_type} -> {flow.target}: {flow.target_type}{_times(flow.count)}"
            for flow in it.types
        ),
        len(it.types),
    )
    lines += _section(
        "where they run",
        (f"{place.kind}{_times(place.count)}: {place.place}, {place.reason}" for place in it.places),
        len(it.places),
    )
    lines += _section(
        "limits and safeguards",
        (f"{limit.kind}{_times(limit.count)}: {', '.join(limit.limits)}" for limit in it.limits),
        len(it.limits),
    )
    lines += _section(
        "branches",
        (
            f"{branch.kind}.{branch.output} may be left unset: {_named(branch.operations, branch.count)}"
            for branch in it.branches
        ),
        len(it.branches),
    )
    lines += _section(
        "maps",
        (
            f"{facts.kind} for each of {', '.join(facts.over)}"
            f"{_at_a_time(facts.max_concurrency)}: {_named(facts.operations, facts.count)}"
            for facts in it.maps
        ),
        len(it.maps),
    )
    return "\n".join(lines)


def _levels(levels: Sequence[int]) -> str:
    shown = [f"{count:,}" for count in levels[:_ROWS]]
    return " → ".join([*shown, "…"] if len(levels) > _ROWS else shown) or "nothing"


def _path(path: Sequence[str]) -> str:
    if len(path) <= 2 * _PATH_ENDS:
        return " -> ".join(path) or "none"
    between = len(path) - 2 * _PATH_ENDS
    names = [*path[:_PATH_ENDS], f"({between:,} more)", *path[-_PATH_ENDS:]]
    return " -> ".join(names)


def _work(work: WorkFacts, operations: int) -> list[str]:
    if work.source == "operations":
        text = f"{work.parallelism:.3g} at most: {counted(operations, 'operation')} over {work.span:,.0f} in a row"
        return [f"parallelism: {text} (no durations are known; after a run, explain(result) knows them)"]
    source = "a result" if work.source == "result" else "what ran before"
    known = "all of them" if work.timed == operations else f"{work.timed:,} of {counted(operations, 'operation')}"
    lines = [
        f"parallelism: {work.parallelism:.3g} at most: work {duration_text(work.work)}, span "
        f"{duration_text(work.span)}; from {source}, for {known}"
    ]
    if work.least is not None and work.most is not None and work.workers is not None:
        lines.append(
            f"  with {counted(work.workers, 'worker')}: {duration_text(work.least)} at least, "
            f"{duration_text(work.most)} at most"
        )
    return lines


def _memory(memory: MemoryFacts) -> list[str]:
    values = f"at most {counted(memory.most_values, 'value')} at a time"
    if memory.peak_bytes is None:
        if not memory.unknown_outputs:
            return [f"memory: {values}"]
        return [
            f"memory: {values}; no sizes are known (declare output_bytes=, or explain(result) of a run with "
            'retain="all")'
        ]
    at = f" when {memory.peak_operation} has run" if memory.peak_operation else ""
    unknown = f"; {counted(memory.unknown_outputs, 'output')} of unknown size" if memory.unknown_outputs else ""
    return [
        f"memory: {bytes_text(memory.peak_bytes)} at most{at}, {bytes_text(memory.kept_bytes)} kept at the end; "
        f"{values}{unknown}"
    ]


def _section(title: str, rows: Iterable[str], count: int) -> list[str]:
    if not count:
        return []
    lines = [f"{title}:"]
    lines += [f"  {row}" for _, row in zip(range(_ROWS), rows, strict=False)]
    if count > _ROWS:
        lines.append(f"  and {count - _ROWS:,} more")
    return lines


def _times(count: int) -> str:
    return f" × {count:,}" if count > 1 else ""


def _named(names: Sequence[str], count: int) -> str:
    text = ", ".join(names)
    return text if count <= len(names) else f"{text} and {count - len(names):,} more"


def _at_a_time(most: int | None) -> str:
    return "" if most is None else f", {most:,} at a time"

"""What a run came to, in the words of a picture: the states and the times of its boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from execution_dataflow.quantities import counted, duration_text
from execution_dataflow.states import OperationState

__all__ = ["Outcomes", "outcome_lines", "weightiest"]

# What somebody looks for in a box of several operations comes first.
_BY_WEIGHT = (
    OperationState.FAILED,
    OperationState.CANCELLED,
    OperationState.UPSTREAM_FAILED,
    OperationState.RETRYING,
    OperationState.RUNNING,
    OperationState.READY,
    OperationState.PENDING,
    OperationState.SUCCEEDED,
    OperationState.RESTORED,
    OperationState.SKIPPED,
)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of each operation.

    Parameters
    ----------
    states : sequence of int
        The state of each operation, by its number.
    seconds : callable
        Takes an operation, and returns how long its last attempt took; ``None`` if it never ran.
    attempts : callable
        Takes an operation, and returns how many attempts there were.
    items : mapping of int to (int, int)
        For the maps that began, how many items are done, and how many there are; -1 if nobody knows.
    """

    states: Sequence[int]
    seconds: Callable[[int], float | None]
    attempts: Callable[[int], int]
    items: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def counts(self) -> list[tuple[OperationState, int]]:
        """Return how many operations are in each state that occurs."""
        counts = Counter(self.states)
        return [(state, counts[state]) for state in OperationState if counts[state]]


def weightiest(states: Iterable[int]) -> OperationState:
    """Return the state that is shown for several operations: that of a failure, if there is one.

    Parameters
    ----------
    states : iterable of int
        At least one state.

    Returns
    -------
    OperationState
        One of them.

    Examples
    --------
    >>> weightiest([4, 4, 6, 8]).name
    'FAILED'
    """
    present = set(states)
    return next(state for state in _BY_WEIGHT if state in present)


def outcome_lines(outcomes: Outcomes, members: Sequence[int]) -> list[str]:
    """Return what is written into a box after a run.

    Parameters
    ----------
    outcomes : Outcomes
        What became of each operation.
    members : sequence of int
        The operations of the box.

    Returns
    -------
    list of str
        One to three lines.
    """
    if len(members) > 1:
        return _of_several(outcomes, members)
    node = members[0]
    parts = [OperationState(outcomes.states[node]).name]
    seconds = outcomes.seconds(node)
    if seconds is not None:
        parts.append(duration_text(seconds))
    attempts = outcomes.attempts(node)
    if attempts > 1:
        parts.append(counted(attempts, "attempt"))
    lines = [" · ".join(parts)]
    if node in outcomes.items:
        done, total = outcomes.items[node]
        lines.append(counted(done, "item") if total in (-1, done) else f"{done:,} of {counted(total, 'item')}")
    return lines


def _of_several(outcomes: Outcomes, members: Sequence[int]) -> list[str]:
    counts = Counter(outcomes.states[node] for node in members)
    lines = [", ".join(f"{counts[state]:,} {state.name}" for state in _BY_WEIGHT if counts[state])]
    times = [seconds for node in members if (seconds := outcomes.seconds(node)) is not None]
    if times:
        lines.append(f"{duration_text(sum(times))} in all")
    return lines

"""The states of an operation and of a run, and the moves between them that are legal (rule R5)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

from execution_dataflow._core import legal_moves

__all__ = ["LEGAL_MOVES", "OperationState", "RunState"]


class OperationState(IntEnum):
    """Where an operation is in one run. The numbers are those of the native core.

    Examples
    --------
    >>> OperationState.RUNNING.is_final
    False
    >>> OperationState.SKIPPED.is_final
    True
    """

    PENDING = 0
    """It waits for the outcome of another operation."""
    READY = 1
    """All it needs is there; it waits for a worker."""
    RUNNING = 2
    """An attempt is under way."""
    RETRYING = 3
    """An attempt failed and the next one waits for its delay."""
    SUCCEEDED = 4
    """Its outputs are committed."""
    RESTORED = 5
    """Its outputs came from a checkpoint."""
    FAILED = 6
    """Its last attempt failed."""
    UPSTREAM_FAILED = 7
    """Something that it needs failed."""
    SKIPPED = 8
    """Something that it requires was not produced, by a branch not taken."""
    CANCELLED = 9
    """The run ended before it could start or finish."""

    @property
    def is_final(self) -> bool:
        """Whether no move leads out of this state."""
        return self >= OperationState.SUCCEEDED


LEGAL_MOVES: Mapping[OperationState, frozenset[OperationState]] = MappingProxyType(
    {OperationState(state): frozenset(map(OperationState, after)) for state, after in enumerate(legal_moves())}
)
"""For each state, the states that may follow it."""


class RunState(str, Enum):  # noqa: UP042 - StrEnum members would be compared and shown as plain text
    """The state of a whole run.

    Examples
    --------
    >>> RunState("FAILED").is_final
    True
    """

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the run is over."""
        return self is not RunState.RUNNING

    def __str__(self) -> str:
        return self.value

"""The events of a run: immutable, and one sequence per run in which causes come before effects (rule O1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from execution_dataflow.checks.outcome import CheckOutcome
from execution_dataflow.states import OperationState, RunState

__all__ = [
    "Event",
    "GraphCompleted",
    "GraphStarted",
    "OperationCancelled",
    "OperationChecked",
    "OperationCompleted",
    "OperationEvent",
    "OperationFailed",
    "OperationFellBack",
    "OperationProgress",
    "OperationRestored",
    "OperationRetrying",
    "OperationRevertFailed",
    "OperationReverted",
    "OperationSkipped",
    "OperationStarted",
    "OperationUpstreamFailed",
]


@dataclass(frozen=True, slots=True)
class Event:
    """The base of every event.

    Attributes
    ----------
    run_id : str
        The run that it is about.
    sequence : int
        Its place in the sequence of that run, from 0.
    time : float
        When it happened, in seconds since the epoch.
    """

    run_id: str
    sequence: int
    time: float


@dataclass(frozen=True, slots=True)
class GraphStarted(Event):
    """A run began.

    Attributes
    ----------
    graph : str
        The name of the graph.
    operations : int
        How many operations it has.
    """

    graph: str
    operations: int


@dataclass(frozen=True, slots=True)
class GraphCompleted(Event):
    """A run ended; the last event of its sequence.

    Attributes
    ----------
    graph : str
        The name of the graph.
    state : RunState
        How it ended.
    seconds : float
        How long it took.
    """

    graph: str
    state: RunState
    seconds: float


@dataclass(frozen=True, slots=True)
class OperationEvent(Event):
    """The base of the events about one operation.

    Attributes
    ----------
    operation : str
        The stable identity of the operation.
    """

    operation: str


@dataclass(frozen=True, slots=True)
class OperationStarted(OperationEvent):
    """An attempt at an operation began.

    Attributes
    ----------
    attempt : int
        The number of the attempt, from 1.
    worker : int
        The worker that runs it; 0 is the thread that called ``run``.

    Examples
    --------
    >>> OperationStarted("nightly", 1, 1795390000.0, "load", attempt=1, worker=0)
    OperationStarted(run_id='nightly', sequence=1, time=1795390000.0, operation='load', attempt=1, worker=0)
    """

    attempt: int
    worker: int


@dataclass(frozen=True, slots=True)
class OperationChecked(OperationEvent):
    """A check of a port was evaluated; it comes between the start and the end of its attempt.

    Attributes
    ----------
    attempt : int
        The number of the attempt, from 1.
    outcome : CheckOutcome
        Which check, of which port, of which severity; whether it passed, and what did not; without secrets.
    """

    attempt: int
    outcome: CheckOutcome


@dataclass(frozen=True, slots=True)
class OperationCompleted(OperationEvent):
    """An operation succeeded and its outputs are committed.

    Attributes
    ----------
    attempt : int
        The attempt that succeeded.
    seconds : float
        How long that attempt took.
    """

    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class OperationFailed(OperationEvent):
    """An operation failed for good.

    Attributes
    ----------
    attempt : int
        The attempt that failed last.
    error : BaseException or None
        What it raised. Not part of the repr, since its text may hold a secret.
    message : str
        The exception as text, without secrets.
    state : OperationState
        The state that it ended in.
    """

    attempt: int
    error: BaseException | None = field(repr=False)
    message: str
    state: OperationState = OperationState.FAILED


@dataclass(frozen=True, slots=True)
class OperationRetrying(OperationEvent):
    """An attempt failed and another one will follow.

    Attributes
    ----------
    attempt : int
        The attempt that failed.
    delay_seconds : float
        How long the next one waits.
    message : str
        The exception as text, without secrets.
    """

    attempt: int
    delay_seconds: float
    message: str


@dataclass(frozen=True, slots=True)
class OperationFellBack(OperationEvent):
    """An operation failed for good, and what it declares as ``on_failure=`` stands in for it.

    With a value, `OperationCompleted` follows. With an operation, `OperationStarted` of the next attempt follows.

    Attributes
    ----------
    attempt : int
        The attempt that failed last.
    fallback : str
        The name of the operation that stands in, or ``"a value"``.
    error : BaseException or None
        What it raised. Not part of the repr, since its text may hold a secret.
    message : str
        The exception as text, without secrets.
    """

    attempt: int
    fallback: str
    error: BaseException | None = field(repr=False)
    message: str


@dataclass(frozen=True, slots=True)
class OperationRestored(OperationEvent):
    """The outputs of an operation came from the checkpoint of an earlier run: it does not start.

    Those of a run come before anything of it starts.
    """


@dataclass(frozen=True, slots=True)
class OperationReverted(OperationEvent):
    """An operation that had succeeded was undone by its ``revert``, since the run did not succeed.

    Attributes
    ----------
    seconds : float
        How long that took.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class OperationRevertFailed(OperationEvent):
    """The ``revert`` of an operation raised: what it did may not be undone.

    Attributes
    ----------
    error : BaseException or None
        What it raised. Not part of the repr, since its text may hold a secret.
    message : str
        The exception as text, without secrets.
    """

    error: BaseException | None = field(repr=False)
    message: str


@dataclass(frozen=True, slots=True)
class OperationSkipped(OperationEvent):
    """An operation was left out, because something that it requires was not produced.

    Attributes
    ----------
    reason : str
        Why.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class OperationCancelled(OperationEvent):
    """The run ended before the operation could start or finish."""


@dataclass(frozen=True, slots=True)
class OperationUpstreamFailed(OperationEvent):
    """An operation cannot run, because something that it needs failed.

    Attributes
    ----------
    blame : str
        The identity of the operation that failed.
    """

    blame: str


@dataclass(frozen=True, slots=True)
class OperationProgress(OperationEvent):
    """A running operation said how far it has come.

    Attributes
    ----------
    fraction : float
        How much is done, from 0 to 1.
    message : str
        What is being done, without secrets.
    """

    fraction: float
    message: str

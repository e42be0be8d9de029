"""How a run of a journal stands: what it says of itself, and whether somebody is still at it."""

from __future__ import annotations

from execution_dataflow.stores.journal import RunSummary
from execution_dataflow.stores.owners import holder_is_gone

__all__ = ["INTERRUPTED", "RUNNING", "is_held", "standing_of"]

RUNNING = "RUNNING"
INTERRUPTED = "INTERRUPTED"


def is_held(summary: RunSummary) -> bool:
    """Return whether somebody holds a run: its lease is valid, and its holder is not known to be gone.

    Parameters
    ----------
    summary : RunSummary
        What a journal says of the run.

    Examples
    --------
    >>> is_held(RunSummary("nightly", "etl", "SUCCEEDED", 0.0, 9.0, 40, None, 0.0, 1))
    False
    """
    return summary.lease_seconds_left > 0 and not (summary.holder is not None and holder_is_gone(summary.holder))


def standing_of(summary: RunSummary) -> str:
    """Return the state of a run: ``INTERRUPTED`` for one that was running when its process ended.

    Parameters
    ----------
    summary : RunSummary
        What a journal says of the run.

    Returns
    -------
    str
        The name of a `RunState`, or ``"INTERRUPTED"``.

    Examples
    --------
    >>> standing_of(RunSummary("nightly", "etl", "RUNNING", 0.0, 9.0, 40, None, -3.0, 1))
    'INTERRUPTED'
    """
    return INTERRUPTED if summary.state == RUNNING and not is_held(summary) else summary.state

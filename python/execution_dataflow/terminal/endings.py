"""How an operation ended, in a few words."""

from __future__ import annotations

from execution_dataflow.events import (
    OperationCancelled,
    OperationCompleted,
    OperationEvent,
    OperationFailed,
    OperationSkipped,
    OperationUpstreamFailed,
)
from execution_dataflow.result_text import duration_text

__all__ = ["ending"]


def ending(event: OperationEvent) -> str | None:
    """Say how an operation ended, or return ``None`` when the event is about something else.

    Examples
    --------
    >>> ending(OperationCompleted("nightly", 7, 1795390000.0, "load", attempt=1, seconds=0.25))
    '250 ms'
    """
    match event:
        case OperationCompleted():
            return duration_text(event.seconds)
        case OperationFailed():
            return f"failed: {event.message}"
        case OperationSkipped():
            return f"skipped: {event.reason}"
        case OperationUpstreamFailed():
            return f"not run, since {event.blame} failed"
        case OperationCancelled():
            return "cancelled"
    return None

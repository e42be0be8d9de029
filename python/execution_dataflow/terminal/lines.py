"""A run as lines of text, one for each operation that ended: for logs and pipes."""

from __future__ import annotations

from rich.console import Console

from execution_dataflow.events import (
    Event,
    GraphStarted,
    OperationCancelled,
    OperationEvent,
    OperationRestored,
    OperationRetrying,
)
from execution_dataflow.quantities import counted
from execution_dataflow.terminal.endings import ending

__all__ = ["ProgressLines"]


class ProgressLines:
    """A subscriber that prints a line for each operation that ended.

    Parameters
    ----------
    console : rich.console.Console
        Where it prints.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._ended = 0
        self._restored = 0

    def __call__(self, event: Event) -> None:
        """Print what there is to say about the event."""
        match event:
            case GraphStarted():
                self._total, self._ended, self._restored = event.operations, 0, 0
            case OperationRestored():
                self._ended += 1
                self._restored += 1
                return
            case OperationRetrying():
                self._print(f"{event.operation}: {event.message}; again in {event.delay_seconds:g} s")
        if self._restored:
            count, self._restored = self._restored, 0
            self._print(f"[{count}/{self._total}] restored: {counted(count, 'operation')} had succeeded before")
        if isinstance(event, OperationEvent) and (end := ending(event)) is not None:
            self._ended += 1
            # After a failure all that has not started is cancelled: the failure's own line says enough.
            if isinstance(event, OperationCancelled):
                return
            width = len(str(self._total))
            self._print(f"[{self._ended:{width}}/{self._total}] {event.operation:<18} {end}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

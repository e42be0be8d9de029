"""Showing in a terminal what a run is doing, from the events that the engine sends while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.events import (
    Event,
    GraphStarted,
    OperationCancelled,
    OperationCompleted,
    OperationEvent,
    OperationFailed,
    OperationProgress,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)

__all__ = ["show_progress"]


@contextmanager
def show_progress(engine: ExecutionEngine, console: Console) -> Iterator[None]:
    """Show what the engine's runs do: moving bars in a terminal, and elsewhere a line for each operation that ended."""
    if not console.is_terminal:
        with engine.subscribe(ProgressLines(console)):
            yield
        return
    bars = Progress(
        TextColumn("{task.description:<18}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        console=console,
        transient=True,
    )
    with bars, engine.subscribe(ProgressBars(bars)):
        yield


def ending(event: OperationEvent) -> str | None:
    """Say how an operation ended, or None when the event is about something else."""
    match event:
        case OperationCompleted():
            return f"{event.seconds:.2f} s"
        case OperationFailed():
            return f"failed: {event.message}"
        case OperationSkipped():
            return f"skipped: {event.reason}"
        case OperationUpstreamFailed():
            return f"not run, since {event.blame} failed"
        case OperationCancelled():
            return "cancelled"
    return None


class ProgressLines:
    """A subscriber that prints a line for each operation that ended, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._ended = 0

    def __call__(self, event: Event) -> None:
        """Print what there is to say about the event."""
        match event:
            case GraphStarted():
                self._total, self._ended = event.operations, 0
            case OperationRetrying():
                self._print(f"{event.operation}: {event.message}; again in {event.delay_seconds:g} s")
        if isinstance(event, OperationEvent) and (end := ending(event)) is not None:
            self._ended += 1
            # After a failure all that has not started is cancelled: the failure's own line says enough.
            if isinstance(event, OperationCancelled):
                return
            width = len(str(self._total))
            self._print(f"[{self._ended:{width}}/{self._total}] {event.operation:<18} {end}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class ProgressBars:
    """A subscriber that moves one bar for the whole run and one for each operation that runs now."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole: TaskID | None = None
        self._total = 0
        self._ended = 0
        self._running: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Move the bars."""
        match event:
            case GraphStarted():
                self._total, self._ended = event.operations, 0
                self._whole = self._bars.add_task(event.graph, total=self._total, note="")
            case OperationStarted():
                self._drop(event.operation)
                # A total of None is a bar that pulses: nobody knows yet how long it takes.
                self._running[event.operation] = self._bars.add_task(f"  {event.operation}", total=None, note="")
            case OperationProgress():
                if (task := self._running.get(event.operation)) is not None:
                    self._bars.update(task, total=100, completed=round(100 * event.fraction), note=event.message)
            case OperationRetrying():
                if (task := self._running.get(event.operation)) is not None:
                    self._bars.update(task, note=f"attempt {event.attempt} failed: {event.message}")
        if self._whole is not None and isinstance(event, OperationEvent) and ending(event) is not None:
            self._drop(event.operation)
            self._ended += 1
            self._bars.update(self._whole, completed=self._ended, note=f"{self._ended} of {self._total}")

    def _drop(self, operation: str) -> None:
        if (task := self._running.pop(operation, None)) is not None:
            self._bars.remove_task(task)

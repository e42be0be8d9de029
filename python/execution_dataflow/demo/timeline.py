"""What ran when and on which worker, as a chart of bars in text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from execution_dataflow.demo.findings import plain_table
from execution_dataflow.timing import OperationTiming

__all__ = ["chart_bar", "timeline_table"]

COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
# The columns beside the names and the bars, and the gaps between them.
MARGIN = 28


def timeline_table(timings: Sequence[OperationTiming], console: Console) -> Table:
    """Lay out the operations that ran, with a bar from start to end in the worker's colour."""
    end = max((timing.ended for timing in timings), default=0.0)
    workers = len({timing.worker for timing in timings})
    by = f"{workers} worker{'s' * (workers != 1)}"
    table = plain_table(f"What ran when: {len(timings)} operations in {end:.2f} s on {by}")
    table.add_column("operation", no_wrap=True)
    for header in ("worker", "start", "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    longest = max((len(timing.operation) for timing in timings), default=0)
    width = max(10, console.width - longest - MARGIN)
    block = "#" if console.options.ascii_only else "█"
    for timing in timings:
        colour = COLOURS[timing.worker % len(COLOURS)]
        table.add_row(
            timing.operation,
            f"[{colour}]{timing.worker}[/]",
            f"{timing.started:.2f}",
            f"{timing.seconds:.2f}",
            f"[{colour}]{chart_bar(timing.started, timing.ended, end, width, block)}[/]",
        )
    return table


def chart_bar(start: float, end: float, whole: float, width: int, block: str) -> str:
    """Draw a bar from start to end on a line that stands for 0 to whole; what takes no time still shows.

    Examples
    --------
    >>> chart_bar(2.0, 5.0, 10.0, width=20, block="#")
    '    ######'
    >>> chart_bar(10.0, 10.0, 10.0, width=20, block="#")
    '                   #'
    """
    first = min(int(width * start / whole), width - 1) if whole else 0
    last = min(round(width * end / whole), width) if whole else 0
    return " " * first + block * max(1, last - first)

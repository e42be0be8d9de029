"""The moving display of a run: a bar with counts, and below it what runs now."""

from __future__ import annotations

import time

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from execution_dataflow.terminal.tally import RunningOperation, Tally

__all__ = ["RunDisplay", "clock"]

BAR_WIDTH = 30
# Rows for what runs now; the longest-running ones are shown.
ROWS = 8
# What has only just begun would flicker.
SHOWN_AFTER_SECONDS = 0.2


class RunDisplay:
    """What `rich.live.Live` draws, again and again, from a tally.

    Parameters
    ----------
    tally : Tally
        The counts.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._began = time.monotonic()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the display as it is now."""
        if not self._tally.graph:
            return  # nothing has begun
        now = time.monotonic()
        running = self._tally.running.copy()
        rows = [item for item in running.items() if now - item[1].since >= SHOWN_AFTER_SECONDS]
        rows.sort(key=lambda item: item[1].since)
        # One line less than the terminal has, for what is printed above.
        room = max(0, min(ROWS, options.size.height - 3))
        parts: list[Table | Text] = [self._bar(now, len(running))]
        parts += [_row(name, operation, now) for name, operation in rows[:room]]
        if len(rows) > room:
            parts.append(Text(f"  … and {len(rows) - room} more", style="dim"))
        yield Group(*parts)

    def _bar(self, now: float, running: int) -> Table:
        tally = self._tally
        total = max(tally.total, tally.ended)
        counts = [f"{tally.ended}/{total}"]
        counts += [f"{running} running"] if running else []
        notes = Text(" · ".join(counts), no_wrap=True)
        for count, what, style in (
            (tally.restored, "restored", "green"),
            (tally.failed, "failed", "bold red"),
            (tally.skipped, "skipped", "yellow"),
            (tally.retried, "retried", "yellow"),
        ):
            if count:
                notes.append(f" · {count} {what}", style=style)
        grid = Table.grid(padding=(0, 1, 0, 0))
        for _ in range(4):
            grid.add_column(no_wrap=True)
        name = Text(tally.graph, style="bold", no_wrap=True, overflow="ellipsis")
        name.truncate(24, overflow="ellipsis")
        bar = ProgressBar(total=total or None, completed=tally.ended, width=BAR_WIDTH, animation_time=now)
        grid.add_row(name, bar, Text(clock(now - self._began)), notes)
        return grid


def _row(name: str, operation: RunningOperation, now: float) -> Text:
    done = "" if operation.fraction is None else f" {operation.fraction:.0%}"
    note = f" {operation.note}" if operation.note else ""
    line = Text(f"  {name} {clock(now - operation.since)}{done}{note}", no_wrap=True, overflow="ellipsis")
    line.stylize("dim", len(name) + 2)
    return line


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, or with hours.

    Examples
    --------
    >>> clock(7.9), clock(3661)
    ('0:07', '1:01:01')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

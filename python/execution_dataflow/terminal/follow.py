"""Showing what the runs of an engine do while they go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.terminal.above import AboveDisplay
from execution_dataflow.terminal.display import RunDisplay
from execution_dataflow.terminal.lines import ProgressLines
from execution_dataflow.terminal.tally import Tally

__all__ = ["follow"]

FRAMES_PER_SECOND = 8


@contextmanager
def follow(
    engine: ExecutionEngine, console: Console, *, lines: bool = True, output: Sequence[AboveDisplay] = ()
) -> Iterator[None]:
    """Show what the engine's runs do: a moving display in a terminal, and elsewhere lines or nothing.

    Parameters
    ----------
    engine : ExecutionEngine
        Whose runs are shown.
    console : rich.console.Console
        Where; its file is not ``sys.stderr`` itself where that is one of `output`.
    lines : bool
        Whether there is a line for each operation that ended where the console is no terminal.
    output : sequence of AboveDisplay
        What the program writes to meanwhile.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        if lines:
            with engine.subscribe(ProgressLines(console)):
                yield
        else:
            yield
        return
    tally = Tally(lambda line: console.print(Text(line, style="red"), soft_wrap=True))
    display = Live(
        RunDisplay(tally),
        console=console,
        refresh_per_second=FRAMES_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    for file in output:
        file.cover(True)
    try:
        with display, engine.subscribe(tally):
            yield
    finally:
        for file in output:
            file.cover(False)

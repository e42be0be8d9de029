"""Running a run again that the command line has started, from the note that it made."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from execution_dataflow.checkpoints.settings import Checkpoint
from execution_dataflow.commands.graph_parameters import parameters_of
from execution_dataflow.commands.logs import set_up_logging
from execution_dataflow.commands.mistakes import Mistake
from execution_dataflow.commands.parameter_options import GivenGraph
from execution_dataflow.commands.run_choices import NOTE, CommandNote
from execution_dataflow.commands.running import run_graph
from execution_dataflow.commands.streams import ResultStream
from execution_dataflow.commands.targets import find_target
from execution_dataflow.stores.journal import RunSummary
from execution_dataflow.stores.opening import Store
from execution_dataflow.terminal.above import output_above

__all__ = ["resume_run"]


def resume_run(summary: RunSummary, store: Store, here: bool, results: ResultStream, **others: Any) -> int:
    """Run what a run was started with once more, under its name.

    Parameters
    ----------
    summary : RunSummary
        The run.
    store : Store
        Where its checkpoint is.
    here : bool
        Whether it is run in the working directory, and not in the one in which it was started.
    results : ResultStream
        Where its outputs go.
    **others : object
        Of `RunChoices`, what is of this execution; ``None`` leaves what was noted.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    Mistake
        Python has started it, its graph cannot be found, or somebody else runs it.
    """
    note = noted_command(summary)
    if not here:
        _enter(note.folder, summary.run_id)
    choices = note.choices(run_id=summary.run_id, **others)
    with ExitStack() as stack:
        console = Console(file=sys.stderr, highlight=False)
        output = stack.enter_context(output_above(console))
        target = find_target(note.target, note.allowed)
        texts = {name: list(written) for name, written in note.texts.items()}
        given = GivenGraph(target, parameters_of(target), texts, console, output)
        loaded = given.load(())
        set_up_logging(choices.verbosity)
        return run_graph(given, loaded, choices, results, Checkpoint(store, choices.durability or "batched"))


def noted_command(summary: RunSummary) -> CommandNote:
    """Return what the command line has noted of a run.

    Raises
    ------
    Mistake
        It was started from Python.
    """
    text = summary.metadata.get(NOTE)
    if text is None:
        raise Mistake(
            f"run {summary.run_id!r} was started from Python, which alone knows its graph {summary.graph_name!r} and "
            f"its parameters: call engine.run(graph, ExecutionContext(run_id={summary.run_id!r}), checkpoint=...) "
            "again, and what has succeeded is restored"
        )
    return CommandNote.from_text(text)


def _enter(folder: str, run_id: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise Mistake(
            f"run {run_id!r} was started in {folder}, which cannot be entered ({error.strerror or error}): go to the "
            "folder that has its graph, and say --here"
        ) from None

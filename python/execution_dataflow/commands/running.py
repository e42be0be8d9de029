"""Running a graph that the command line has found, and showing what came of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from rich.console import Console

from execution_dataflow.checkpoints.settings import Checkpoint
from execution_dataflow.commands.graph_outputs import named_outputs
from execution_dataflow.commands.graph_parameters import LoadedGraph
from execution_dataflow.commands.mistakes import RUN_FAILED, SUCCESS, Mistake, complain
from execution_dataflow.commands.parameter_options import GivenGraph
from execution_dataflow.commands.readable_values import readable_outputs
from execution_dataflow.commands.run_choices import RunChoices, resume_command
from execution_dataflow.commands.run_report import run_document
from execution_dataflow.commands.streams import ResultStream
from execution_dataflow.context import ExecutionContext
from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.errors import DataflowError, RunInterrupted
from execution_dataflow.plan import Plan
from execution_dataflow.result import ExecutionResult
from execution_dataflow.result_text import duration_text
from execution_dataflow.stores.opening import Store
from execution_dataflow.terminal.follow import follow

__all__ = ["run_graph"]


def run_graph(
    given: GivenGraph,
    loaded: LoadedGraph,
    choices: RunChoices,
    results: ResultStream,
    checkpoint: Checkpoint | None = None,
) -> int:
    """Run a graph, and show its outputs or why there are none.

    Parameters
    ----------
    given : GivenGraph
        What was named, and where its progress is shown.
    loaded : LoadedGraph
        The graph, with the values of its parameters.
    choices : RunChoices
        How it is run and shown.
    results : ResultStream
        Where its outputs go.
    checkpoint : Checkpoint, optional
        Where and how what has succeeded is kept.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    Mistake
        The graph or a choice is not valid, or somebody else runs this run: nothing was started.
    """
    try:
        plan = loaded.compile(choices.targets)
        context = ExecutionContext(choices.run_id, choices.log_level, seed=choices.seed)
        engine = ExecutionEngine(
            max_workers=choices.workers,
            executor=choices.executor,
            failure_policy=choices.failure_policy,
            retain=_retained(choices.retain, plan),
            deadline_seconds=choices.deadline,
            checkpoint=checkpoint,
        )
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(f"{given.target.text}: {error}") from None
    with engine:
        try:
            with ExitStack() as stack:
                if choices.verbosity >= 0:
                    stack.enter_context(follow(engine, given.console, lines=choices.verbosity > 0, output=given.output))
                result = engine.run(plan, context, parameters=loaded.parameters)
        except RunInterrupted as interruption:
            if choices.as_json and interruption.result is not None:
                results.write(run_document(interruption.result, {}))
            if interruption.result is not None:
                _say_how_to_go_on(interruption.result, choices, checkpoint)
            raise
        except (DataflowError, TypeError, ValueError) as error:
            raise Mistake(f"{given.target.text}: {error}") from None
        _show(result, named_outputs(plan, result), choices, given.console, results)
    if result.is_successful():
        return SUCCESS
    _say_how_to_go_on(result, choices, checkpoint)
    return RUN_FAILED


def _say_how_to_go_on(result: ExecutionResult, choices: RunChoices, checkpoint: Checkpoint | None) -> None:
    if checkpoint is not None and choices.verbosity >= 0:
        address = checkpoint.store.address if isinstance(checkpoint.store, Store) else str(checkpoint.store)
        print(f"go on with: {resume_command(result.run_id, address)}", file=sys.stderr)


def _show(
    result: ExecutionResult, outputs: dict[str, Any], choices: RunChoices, console: Console, results: ResultStream
) -> None:
    if choices.as_json:
        results.write(run_document(result, outputs))
    elif outputs:
        results.write(readable_outputs(outputs))
    if not result.is_successful():
        first = result.first_error
        details = first.traceback_text if first is not None and choices.verbosity > 0 else ""
        complain(result.get_error_message() or "the run failed", details)
    elif choices.verbosity > 0 or (choices.verbosity == 0 and console.is_terminal):
        count = len(result.states)
        how = [
            f"{number} of them {word}"
            for name, word in (("RESTORED", "restored"), ("SKIPPED", "skipped"))
            if (number := sum(state.name == name for state in result.states.values()))
        ]
        console.print(
            f"{result.graph_name}: {count} operation{'s' * (count != 1)} in {duration_text(result.seconds)}"
            f"{''.join(f', {text}' for text in how)}",
            style="green",
            markup=False,
        )
    if choices.verbosity >= 0 and not choices.as_json:
        for warning in result.warnings:
            print(f"warning: {warning}", file=sys.stderr)


def _retained(names: Sequence[str], plan: Plan) -> str | list[Any]:
    """What to keep, as an engine takes it: a port is named after its operation and a dot."""
    if not names or list(names) == ["terminal"]:
        return "terminal"
    if "all" in names:
        return "all"
    known = set(plan.names)
    kept: list[Any] = []
    for name in names:
        operation, dot, port = name.rpartition(".")
        kept.append((operation, port) if dot and name not in known and operation in known else name)
    return kept

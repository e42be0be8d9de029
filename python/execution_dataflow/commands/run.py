"""``execution-dataflow run``: run a graph that a module or a file defines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from execution_dataflow.commands.engine_choices import (
    AllowOption,
    ExecutorName,
    FailurePolicyName,
    GraphArgument,
    JsonOption,
    ParameterOption,
    WorkersOption,
)
from execution_dataflow.commands.graph_outputs import named_outputs
from execution_dataflow.commands.graph_parameters import LoadedGraph
from execution_dataflow.commands.logs import set_up_logging
from execution_dataflow.commands.mistakes import RUN_FAILED, Mistake, complain
from execution_dataflow.commands.parameter_options import GivenGraph, given_graph
from execution_dataflow.commands.streams import ResultStream, only_results_on_stdout
from execution_dataflow.context import ExecutionContext
from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.errors import DataflowError, RunInterrupted
from execution_dataflow.plan import Plan
from execution_dataflow.result import ExecutionResult
from execution_dataflow.result_text import duration_text

__all__ = ["run"]


@dataclass(frozen=True)
class _Choices:
    """How the graph is to be run and shown."""

    workers: int | None
    executor: str | None
    failure_policy: Literal["fail_fast", "continue"]
    retain: Sequence[str]
    targets: Sequence[str]
    deadline: float | None
    seed: int | None
    run_id: str | None
    log_level: str | None
    as_json: bool
    verbosity: int


def run(
    ctx: typer.Context,
    graph: GraphArgument,
    param: ParameterOption = None,
    workers: WorkersOption = None,
    executor: Annotated[
        ExecutorName | None,
        typer.Option(help="Where operations run that do not say so themselves.", show_default=False),
    ] = None,
    failure_policy: Annotated[
        FailurePolicyName,
        typer.Option(help="After a failure start nothing new, or finish every branch that does not depend on it."),
    ] = FailurePolicyName.fail_fast,
    retain: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Keep and print this operation or operation.port too; 'all' for everything."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option("--targets", "--target", "-t", metavar="NAME", help="Run only this operation and what it needs."),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Cancel the run when it takes longer.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="The seed of every random stream.")] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name of the run; made up unless given.")
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="The lowest level that operations log: debug, info, warning, ..."),
    ] = None,
    allow: AllowOption = None,
    as_json: JsonOption = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            metavar="",
            help="Say more: each operation that ends, and tracebacks; -vv for debug logs.",
        ),
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors, and nothing else.")] = False,
) -> None:
    """Run a graph, and print its outputs.

    The graph is named as module:graph, with the working directory on Python's path, or as path/to/file.py:graph. It is
    a GraphDefinition, a Plan, or a function that returns one; the parameters of that function become options:

        execution-dataflow run etl:build --month 7 --workers 4

    Results go to standard output, progress and errors to standard error. The exit code is 0 for success, 1 when the run
    failed, 2 when the graph or an argument is not valid, 130 after Ctrl-C.
    """
    choices = _Choices(
        workers=workers,
        executor=None if executor is None else executor.value,
        failure_policy=failure_policy.value,
        retain=_names(retain),
        targets=_names(targets),
        deadline=deadline,
        seed=seed,
        run_id=run_id,
        log_level=log_level,
        as_json=as_json,
        verbosity=-1 if quiet else verbose,
    )
    with only_results_on_stdout(as_json) as results:
        given = given_graph(ctx)
        loaded = given.load(param or ())
        set_up_logging(choices.verbosity)
        code = _run(given, loaded, choices, results)
    raise typer.Exit(code)


def _run(given: GivenGraph, loaded: LoadedGraph, choices: _Choices, results: ResultStream) -> int:
    try:
        plan = loaded.compile(choices.targets)
        context = ExecutionContext(choices.run_id, choices.log_level, seed=choices.seed)
        engine = ExecutionEngine(
            max_workers=choices.workers,
            executor=choices.executor,
            failure_policy=choices.failure_policy,
            retain=_retained(choices.retain, plan),
            deadline_seconds=choices.deadline,
        )
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(f"{given.target.text}: {error}") from None
    with engine:
        try:
            with ExitStack() as stack:
                if choices.verbosity >= 0:
                    # Late, as all that only a run needs: --help and completion are to come at once.
                    from execution_dataflow.terminal.follow import follow

                    stack.enter_context(follow(engine, given.console, lines=choices.verbosity > 0, output=given.output))
                result = engine.run(plan, context, parameters=loaded.parameters)
        except RunInterrupted as interruption:
            if choices.as_json and interruption.result is not None:
                from execution_dataflow.commands.run_report import run_document

                results.write(run_document(interruption.result, {}))
            raise
        except (DataflowError, TypeError, ValueError) as error:
            raise Mistake(f"{given.target.text}: {error}") from None
        _show(result, named_outputs(plan, result), choices, given.console, results)
    return 0 if result.is_successful() else RUN_FAILED


def _show(
    result: ExecutionResult, outputs: dict[str, Any], choices: _Choices, console: Console, results: ResultStream
) -> None:
    if choices.as_json:
        from execution_dataflow.commands.run_report import run_document

        results.write(run_document(result, outputs))
    elif outputs:
        from execution_dataflow.commands.readable_values import readable_outputs

        results.write(readable_outputs(outputs))
    if not result.is_successful():
        first = result.first_error
        details = first.traceback_text if first is not None and choices.verbosity > 0 else ""
        complain(result.get_error_message() or "the run failed", details)
    elif choices.verbosity > 0 or (choices.verbosity == 0 and console.is_terminal):
        count = len(result.states)
        skipped = sum(state.name == "SKIPPED" for state in result.states.values())
        more = f", {skipped} of them skipped" if skipped else ""
        console.print(
            f"{result.graph_name}: {count} operation{'s' * (count != 1)} in {duration_text(result.seconds)}{more}",
            style="green",
            markup=False,
        )
    if choices.verbosity >= 0 and not choices.as_json:
        for warning in result.warnings:
            print(f"warning: {warning}", file=sys.stderr)


def _names(given: Sequence[str] | None) -> list[str]:
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def _retained(names: Sequence[str], plan: Plan) -> str | list[Any]:
    """What to keep, as an engine takes it: a port is named after its operation and a dot."""
    if not names or names == ["terminal"]:
        return "terminal"
    if "all" in names:
        return "all"
    known = set(plan.names)
    kept: list[Any] = []
    for name in names:
        operation, dot, port = name.rpartition(".")
        kept.append((operation, port) if dot and name not in known and operation in known else name)
    return kept

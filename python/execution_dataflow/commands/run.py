"""``execution-dataflow run``: run a graph that a module or a file defines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from execution_dataflow.commands.engine_choices import (
    AllowOption,
    DurabilityName,
    ExecutorName,
    FailurePolicyName,
    GraphArgument,
    JsonOption,
    ParameterOption,
    WorkersOption,
)
from execution_dataflow.commands.logs import set_up_logging
from execution_dataflow.commands.mistakes import Mistake
from execution_dataflow.commands.parameter_options import given_graph
from execution_dataflow.commands.run_choices import NOTE, CommandNote, RunChoices
from execution_dataflow.commands.store_choices import ArtifactsOption, TrustPicklesOption, chosen_store
from execution_dataflow.commands.streams import only_results_on_stdout

__all__ = ["run"]


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
        str | None,
        typer.Option(metavar="NAME", help="The name of the run; made up unless given."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Keep what has succeeded in sqlite:///runs.db, postgresql://... or redis://...; with the same "
            "--run-id it is not run again.",
        ),
    ] = None,
    durability: Annotated[
        DurabilityName | None,
        typer.Option(
            help="Write checkpoints together, or each before the next operation begins.", show_default="batched"
        ),
    ] = None,
    artifacts: ArtifactsOption = None,
    trust_pickles: TrustPicklesOption = False,
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
    choices = RunChoices(
        workers=workers,
        executor=None if executor is None else executor.value,
        failure_policy=failure_policy.value,
        retain=_names(retain),
        targets=_names(targets),
        deadline=deadline,
        seed=seed,
        run_id=run_id,
        log_level=log_level,
        durability=None if durability is None else durability.value,
        as_json=as_json,
        verbosity=-1 if quiet else verbose,
    )
    # Late, as all that only a run needs: --help and completion are to come at once.
    from execution_dataflow.checkpoints.settings import Checkpoint
    from execution_dataflow.commands.running import run_graph

    with only_results_on_stdout(as_json) as results:
        given = given_graph(ctx)
        loaded = given.load(param or ())
        set_up_logging(choices.verbosity)
        with ExitStack() as stack:
            kept = None
            if checkpoint is not None:
                opened = stack.enter_context(chosen_store(checkpoint, artifacts, trust_pickles, must_exist=False))
                texts = given.texts_with(param or ())
                note = CommandNote.of(given.target.text, allow or (), texts, choices)
                kept = Checkpoint(opened, choices.durability or "batched", metadata={NOTE: note.to_text()})
            elif durability is not None:
                raise Mistake("--durability is of checkpoints: add --checkpoint sqlite:///runs.db")
            code = run_graph(given, loaded, choices, results, kept)
    raise typer.Exit(code)


def _names(given: Sequence[str] | None) -> list[str]:
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]

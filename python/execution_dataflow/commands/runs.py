"""``execution-dataflow runs``: the runs that a store keeps, to look at, go on with, and delete."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Console

from execution_dataflow.checkpoints.stand_ins import is_of_operation
from execution_dataflow.commands.ages import age_from_text
from execution_dataflow.commands.engine_choices import JsonOption, WorkersOption
from execution_dataflow.commands.mistakes import Mistake, suggestion
from execution_dataflow.commands.parameter_options import documented_command
from execution_dataflow.commands.resuming import resume_run
from execution_dataflow.commands.run_tables import prune_document, run_facts, runs_table, show_prune, show_run
from execution_dataflow.commands.store_choices import (
    ArtifactsOption,
    RunArgument,
    StoreOption,
    TrustPicklesOption,
    chosen_store,
    found_run,
    store_failures,
)
from execution_dataflow.commands.streams import only_results_on_stdout
from execution_dataflow.states import RunState
from execution_dataflow.store_care.pruning import prune_runs
from execution_dataflow.store_care.standing import INTERRUPTED, standing_of

__all__ = ["runs"]

DEFAULT_AGE = "30d"

runs = typer.Typer(no_args_is_help=True, help="Look at the runs that a store keeps, go on with them, and delete them.")


def complete_state(incomplete: str) -> list[str]:
    """Complete the state of a run."""
    names = [state.name.lower() for state in RunState] + [INTERRUPTED.lower()]
    return [name for name in names if name.startswith(incomplete.lower())]


@documented_command(runs, "list")
def list_runs(
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Only runs in this state: succeeded, failed, cancelled, running or interrupted.",
            autocompletion=complete_state,
        ),
    ] = None,
    graph: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs of this graph.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, the one that changed last first."""
    states = {name.upper() for name in state or ()}
    for name in states:
        if name.lower() not in complete_state(""):
            raise Mistake(f"--state {name.lower()}: unknown{suggestion(name.lower(), complete_state(''), 'states')}")
    with only_results_on_stdout(as_json) as results, chosen_store(store, artifacts) as opened, store_failures(opened):
        fitting = (
            summary
            for summary in opened.journal.runs()
            if (not states or standing_of(summary) in states) and graph in (None, summary.graph_name)
        )
        shown = list(islice(fitting, limit + 1))
        if as_json:
            results.write(_json([run_facts(summary) for summary in shown[:limit]]))
            return
        console = Console(highlight=False)
        if shown:
            console.print(runs_table(shown[:limit], console))
        else:
            console.print(f"{opened.address} has no such runs" if states or graph else f"{opened.address} has no runs")
        if len(shown) > limit:
            console.print(f"... and more: --limit {limit * 2}", style="dim")


@documented_command(runs, "show")
def show(
    run: RunArgument,
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    commits: Annotated[
        int, typer.Option("--commits", min=0, metavar="N", help="List so many of the operations that committed last.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show what a store knows of a run: its state, who runs it, how it was started, what has committed."""
    with only_results_on_stdout(as_json) as results, chosen_store(store, artifacts) as opened, store_failures(opened):
        summary = found_run(opened, run)
        counted = (commit for commit in opened.journal.commits(run) if is_of_operation(commit))
        committed = sorted(counted, key=lambda commit: commit.ended, reverse=True)
        if as_json:
            document = run_facts(summary)
            document["operations"] = [
                {
                    "operation": commit.key,
                    "attempt": commit.attempt,
                    "started": commit.started,
                    "seconds": commit.ended - commit.started,
                    "bytes": len(commit.outputs),
                    "artifacts": list(commit.artifacts),
                }
                for commit in committed
            ]
            results.write(_json(document))
        else:
            show_run(summary, committed, commits, Console(highlight=False), opened.address)


@documented_command(runs, "resume")
def resume(
    run: RunArgument,
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    trust_pickles: TrustPicklesOption = False,
    workers: WorkersOption = None,
    here: Annotated[
        bool, typer.Option("--here", help="Run it in this folder, and not in the one in which it was started.")
    ] = False,
    as_json: JsonOption = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, show_default=False, metavar="", help="Say more, as for run."),
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors, and nothing else.")] = False,
) -> None:
    """Go on with a run that was started by run --checkpoint: the same graph, parameters and options.

    What has succeeded is not run again, unless it has changed since. It is run in the folder in which it was started.
    A run that was started from Python goes on when Python runs it again, with the same run_id and checkpoint.

    Exit codes: 0 success, 1 the run failed, 2 nothing was run, 130 interrupted.
    """
    with (
        only_results_on_stdout(as_json) as results,
        chosen_store(store, artifacts, trust_pickles) as opened,
        store_failures(opened),
    ):
        summary = found_run(opened, run)
        verbosity = -1 if quiet else verbose
        code = resume_run(summary, opened, here, results, workers=workers, as_json=as_json, verbosity=verbosity)
    raise typer.Exit(code)


@documented_command(runs, "prune")
def prune(
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help=f"Delete runs that have not changed for so long, such as 30d or 12h; {DEFAULT_AGE} unless there is "
            "another choice.",
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="Delete runs in this state: succeeded, failed, cancelled or interrupted; several times for several.",
            autocompletion=complete_state,
        ),
    ] = None,
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Delete runs that are not the latest N of their graph.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, and show what would be deleted.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete runs that nobody needs any more, and then artifacts that nothing refers to.

    Where several options choose, a run is deleted when all of them hold for it. A run that somebody runs now is left,
    and so is what was written within the last hour and nothing refers to yet. Persistent state and caches are no part
    of a run, and stay. The artifacts belong to this store alone: what another one refers to would be deleted.
    """
    if older_than is None and state is None and keep is None:
        older_than = DEFAULT_AGE
    age = None if older_than is None else age_from_text(older_than)
    with only_results_on_stdout(as_json) as results, chosen_store(store, artifacts) as opened, store_failures(opened):
        try:
            report = prune_runs(opened, older_than=age, states=state or None, keep=keep, dry_run=dry_run)
        except ValueError as error:
            raise Mistake(str(error)) from None
        if as_json:
            results.write(_json(prune_document(report)))
        else:
            show_prune(report, Console(highlight=False))


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, allow_nan=False)

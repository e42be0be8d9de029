"""Running the flights example in a terminal: progress while it runs, then what it found."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from execution_dataflow import ExecutionContext, ExecutionEngine
from execution_dataflow.demo.checkpoint import RUN_ID, kept_beside, remove_kept
from execution_dataflow.demo.findings import print_findings
from execution_dataflow.demo.flights import MONTHS, build_graph
from execution_dataflow.demo.tables import data_folder
from execution_dataflow.demo.timeline import timeline_table
from execution_dataflow.terminal.follow import follow

__all__ = ["run_demo"]


def run_demo(
    database: Path,
    workers: int | None,
    months: Sequence[int] | None,
    quiet: bool,
    output: Console,
    errors: Console,
    *,
    resume: bool = False,
) -> int:
    """Run the example.

    Parameters
    ----------
    database : Path
        The SQLite file to write.
    workers : int or None
        How many workers run; ``None`` is one for each CPU.
    months : sequence of int or None
        The months to load; ``None`` is all.
    quiet : bool
        Print the path of the database and nothing else.
    output, errors : rich.console.Console
        Where findings go, and where progress and errors go.
    resume : bool
        Keep what has succeeded, and go on with a run that did not come to its end.

    Returns
    -------
    int
        The exit code: 0 success, 1 the run failed.
    """
    graph = build_graph(data_folder())
    parameters = {"database": database, "months": tuple(months or MONTHS)}
    with ExitStack() as stack:
        run_id, checkpoint = None, None
        if resume:
            run_id, checkpoint = RUN_ID, stack.enter_context(kept_beside(database))
        engine = stack.enter_context(ExecutionEngine(max_workers=workers, checkpoint=checkpoint))
        if not quiet:
            stack.enter_context(follow(engine, errors))
        result = engine.run(graph, ExecutionContext(run_id=run_id, parameters=parameters))
    if not result.is_successful():
        errors.print(f"error: {result.get_error_message()}", markup=False, highlight=False, soft_wrap=True)
        return 1
    if checkpoint is not None:
        # The database is what was wanted: what led to it is not needed any more.
        remove_kept(database)
    if quiet:
        output.print(str(database), markup=False, highlight=False, soft_wrap=True)
        return 0
    print_findings(database, output)
    output.print()
    output.print(timeline_table(result.timings, output))
    size = database.stat().st_size / 1e6
    output.print(f"\nThe database ({size:.0f} MB): {database}", markup=False, highlight=False, soft_wrap=True)
    return 0

"""``execution-dataflow plan``: what is known of a run before it starts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from execution_dataflow.commands.engine_choices import (
    AllowOption,
    ExecutorName,
    GraphArgument,
    JsonOption,
    ParameterOption,
    WorkersOption,
)
from execution_dataflow.commands.json_values import as_json as plain
from execution_dataflow.commands.mistakes import Mistake
from execution_dataflow.commands.parameter_options import given_graph
from execution_dataflow.commands.streams import only_results_on_stdout
from execution_dataflow.errors import DataflowError

__all__ = ["plan"]


def plan(
    ctx: typer.Context,
    graph: GraphArgument,
    param: ParameterOption = None,
    workers: WorkersOption = None,
    executor: Annotated[
        ExecutorName | None,
        typer.Option(help="Where operations run that do not say so themselves.", show_default=False),
    ] = None,
    allow: AllowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is known of a run before it starts, and run nothing.

    Levels, critical path, how many operations can run at a time, memory, types on the channels, and where each
    operation would run. The exit code is 2 when the graph could not run.
    """
    with only_results_on_stdout(as_json) as results:
        given = given_graph(ctx)
        try:
            compiled = given.load(param or ()).compile()
            explanation = compiled.explain(
                executor=None if executor is None else executor.value,
                max_workers=workers,
            )
        except (DataflowError, TypeError, ValueError) as error:
            raise Mistake(f"{given.target.text}: {error}") from None
        if as_json:
            results.write(json.dumps(plain(explanation.to_dict()), indent=2, allow_nan=False))
        else:
            results.write(str(explanation).rstrip("\n"))

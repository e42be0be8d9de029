"""``execution-dataflow validate``: find everything that is wrong with a graph, and run nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from execution_dataflow.commands.engine_choices import AllowOption, GraphArgument, ParameterOption
from execution_dataflow.commands.mistakes import INVALID, Mistake, complain
from execution_dataflow.commands.parameter_options import given_graph
from execution_dataflow.commands.streams import ResultStream
from execution_dataflow.errors import DataflowError, GraphValidationError

__all__ = ["validate"]


def validate(
    ctx: typer.Context,
    graph: GraphArgument,
    param: ParameterOption = None,
    allow: AllowOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when the graph is valid.")] = False,
) -> None:
    """Find everything that is wrong with a graph, all at once, and run nothing.

    The exit code is 0 when the graph could run and 2 when not; what is wrong with it goes to standard error.
    """
    given = given_graph(ctx)
    try:
        plan = given.load(param or ()).compile()
    except GraphValidationError as error:
        for fault in error.faults:
            complain(str(fault))
        count = len(error.faults)
        print(f"{given.target.text} cannot run: {count} fault{'s' * (count != 1)}", file=sys.stderr)
        raise typer.Exit(INVALID) from None
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(f"{given.target.text}: {error}") from None
    if not quiet:
        count = len(plan)
        ResultStream(sys.stdout).write(f"{plan.name} is valid: {count} operation{'s' * (count != 1)}")

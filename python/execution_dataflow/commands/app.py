"""The program: all commands together."""

from __future__ import annotations

from typing import Annotated

import typer

from execution_dataflow import __version__
from execution_dataflow.commands.artifacts import artifacts
from execution_dataflow.commands.bench import bench
from execution_dataflow.commands.cache import cache
from execution_dataflow.commands.demo import demo
from execution_dataflow.commands.draw import draw
from execution_dataflow.commands.parameter_options import GraphCommands, graph_command
from execution_dataflow.commands.plan import plan
from execution_dataflow.commands.run import run
from execution_dataflow.commands.runs import runs
from execution_dataflow.commands.validate import validate

__all__ = ["app"]

app = typer.Typer(cls=GraphCommands, no_args_is_help=True, pretty_exceptions_enable=False)


def print_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        typer.echo(f"execution-dataflow {__version__}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run dataflow graphs: operations with typed ports, on a Rust core.

    A graph is named as module:graph or path/to/file.py:graph, and what it can be given is listed by: run GRAPH --help.

    Exit codes: 0 success, 1 the run failed, 2 the graph or an argument is not valid, 3 standard output is full or
    closed, 130 interrupted.
    """


graph_command(app, "run")(run)
graph_command(app, "validate")(validate)
graph_command(app, "plan")(plan)
graph_command(app, "draw")(draw)
app.command()(demo)
graph_command(app, "bench")(bench)
app.add_typer(cache, name="cache")
app.add_typer(runs, name="runs")
app.add_typer(artifacts, name="artifacts")

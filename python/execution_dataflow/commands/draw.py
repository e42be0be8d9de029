"""``execution-dataflow draw``: a picture of a graph."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from execution_dataflow.commands.engine_choices import AllowOption, GraphArgument, ParameterOption
from execution_dataflow.commands.mistakes import Mistake
from execution_dataflow.commands.parameter_options import given_graph
from execution_dataflow.commands.streams import ResultStream
from execution_dataflow.errors import DataflowError

__all__ = ["draw"]


class Format(StrEnum):
    """The languages of pictures."""

    mermaid = "mermaid"
    dot = "dot"
    svg = "svg"


class Direction(StrEnum):
    """Where data flows to."""

    TD = "TD"
    LR = "LR"


_BY_ENDING = {
    ".svg": Format.svg,
    ".dot": Format.dot,
    ".gv": Format.dot,
    ".mmd": Format.mermaid,
    ".mermaid": Format.mermaid,
    ".md": Format.mermaid,
}


def draw(
    ctx: typer.Context,
    graph: GraphArgument,
    param: ParameterOption = None,
    language: Annotated[
        Format | None,
        typer.Option(
            "--format", "-f", help="By the ending of the output unless given, else mermaid.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", dir_okay=False, help="The file to write, instead of standard output."
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="How deep nested graphs are opened; 0 shows each as one box.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="The largest number of boxes; larger graphs are collapsed.")
    ] = 200,
    direction: Annotated[Direction, typer.Option(help="From top to bottom, or from left to right.")] = Direction.TD,
    allow: AllowOption = None,
) -> None:
    """Draw a graph, as Mermaid, as Graphviz DOT, or as SVG without another program.

    A graph with faults is drawn too, with what is missing and the channels of its cycles marked.
    """
    given = given_graph(ctx)
    chosen = language or (None if output is None else _BY_ENDING.get(output.suffix.lower())) or Format.mermaid
    try:
        found = given.load(param or ()).graph
        toward: Literal["TD", "LR"] = "LR" if direction is Direction.LR else "TD"
        match chosen:
            case Format.mermaid:
                text = str(found.to_mermaid(depth=depth, limit=limit, direction=toward))
            case Format.dot:
                text = str(found.to_dot(depth=depth, limit=limit, direction=toward))
            case Format.svg:
                text = str(found.to_svg(depth=depth, limit=limit, direction=toward))
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(f"{given.target.text}: {error}") from None
    if output is None:
        ResultStream(sys.stdout).write(text.rstrip("\n"))
        return
    if chosen is Format.mermaid and output.suffix.lower() == ".md":
        text = f"```mermaid\n{text.rstrip()}\n```"
    try:
        output.write_text(f"{text.rstrip()}\n", encoding="utf-8")
    except OSError as error:
        raise Mistake(f"{output} cannot be written: {error.strerror or error}") from None

"""What several commands let a person choose about an engine, as options."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from execution_dataflow.commands.completion import complete_pairs, complete_target

__all__ = [
    "AllowOption",
    "DurabilityName",
    "ExecutorName",
    "FailurePolicyName",
    "GraphArgument",
    "JsonOption",
    "OptionalGraphArgument",
    "ParameterOption",
    "WorkersOption",
]


class ExecutorName(StrEnum):
    """Where operations run that do not say so themselves."""

    thread = "thread"
    process = "process"
    inline = "inline"


class FailurePolicyName(StrEnum):
    """What a failure means for the rest of the run."""

    fail_fast = "fail_fast"
    carry_on = "continue"


class DurabilityName(StrEnum):
    """When a checkpoint is written."""

    batched = "batched"
    each = "each"


_GRAPH = typer.Argument(
    metavar="GRAPH",
    help="module:graph, path/to/file.py:graph or a definition file: a GraphDefinition, a Plan, or a function that "
    "returns one.",
    autocompletion=complete_target,
    show_default=False,
)
GraphArgument: TypeAlias = Annotated[str, _GRAPH]
OptionalGraphArgument: TypeAlias = Annotated[str | None, _GRAPH]
ParameterOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUE",
        help="Give the graph a parameter; several times for several, and for the elements of a list. Each has "
        "an option of its own too: see GRAPH --help.",
        autocompletion=complete_pairs,
    ),
]
AllowOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="MODULE",
        help="Let a definition file name operations of this module and of what is below it.",
    ),
]
WorkersOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers", "-w", min=1, metavar="N", help="How many operations run at a time; one for each CPU unless given."
    ),
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

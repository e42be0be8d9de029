"""What a shell is told when the user presses the tab key: graphs by module and by file, and parameters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import typer

from execution_dataflow.commands.mistakes import Mistake
from execution_dataflow.commands.streams import silenced
from execution_dataflow.commands.targets import DEFINITION_FILES, graph_names, import_place
from execution_dataflow.commands.text_values import choices

__all__ = ["complete_pairs", "complete_target"]

_HIDDEN = (".", "_")


def complete_target(incomplete: str) -> list[str]:
    """Complete ``module:graph``: modules and files of the working directory, then the graphs in them."""
    place, colon, name = incomplete.rpartition(":")
    if colon:
        return [f"{place}:{found}" for found in _graphs_in(place) if found.startswith(name)]
    found = sorted(_places(incomplete))
    # The shell puts a space after the only completion, so that one goes on to what is in it.
    if len(found) == 1 and found[0].endswith((":", "/")):
        return complete_target(found[0]) or found
    return found


def complete_pairs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete ``name=value`` for the graph on the command line: the names, and the values where they are few."""
    parameters = getattr(ctx.obj, "parameters", [])
    name, equals, text = incomplete.partition("=")
    if not equals:
        found = [f"{parameter.name}=" for parameter in parameters if parameter.name.startswith(name)]
        return complete_pairs(ctx, found[0]) or found if len(found) == 1 else found
    for parameter in parameters:
        if parameter.name == name:
            return [f"{name}={choice}" for choice in choices(parameter.hint) if choice.startswith(text)]
    return []


def _graphs_in(place: str) -> list[str]:
    try:
        # What a module prints while it is imported would become a completion.
        with silenced(True):
            return graph_names(import_place(place))
    except Mistake:
        return []


def _places(incomplete: str) -> Iterator[str]:
    if "/" in incomplete or os.sep in incomplete:
        head, begun = os.path.split(incomplete)
        for entry in _entries(Path(head or os.sep), begun):
            shown = os.path.join(head, entry.name)
            if entry.is_dir():
                yield f"{shown}/"
            elif entry.suffix == ".py":
                yield f"{shown}:"
            elif entry.suffix in DEFINITION_FILES:
                yield shown
        return
    package, dot, begun = incomplete.rpartition(".")
    folder = Path(*package.split(".")) if dot else Path()
    for entry in _entries(folder, begun):
        module = f"{package}.{entry.stem}" if dot else entry.stem
        if entry.suffix == ".py" and entry.stem.isidentifier():
            yield f"{module}:"
        elif entry.is_dir() and any(entry.glob("*.py")):
            if (entry / "__init__.py").is_file():
                yield f"{module}."
                if (entry / "__init__.py").stat().st_size:
                    yield f"{module}:"
            elif not dot:
                yield f"{entry.name}/"
        elif entry.suffix in DEFINITION_FILES and not dot:
            yield entry.name


def _entries(folder: Path, begun: str) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in found if entry.name.startswith(begun) and not entry.name.startswith(_HIDDEN)]

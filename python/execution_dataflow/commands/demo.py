"""``execution-dataflow demo``: the ETL over the New York flights of 2013."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

__all__ = ["demo"]


def demo(
    database: Annotated[
        Path, typer.Option(metavar="PATH", dir_okay=False, help="The SQLite database to write.")
    ] = Path("flights.sqlite"),
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many workers run; one for each CPU unless given.")
    ] = None,
    month: Annotated[
        list[int] | None,
        typer.Option(min=1, max=12, metavar="M", help="Load only this month; may be given several times."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Keep what has succeeded beside the database, and go on from there if it was killed."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the path of the database and nothing else.")
    ] = False,
) -> None:
    """Run an ETL over the 336,776 flights that left New York City in 2013, and show what it found."""
    from execution_dataflow.demo.database import foreign_content
    from execution_dataflow.demo.show import run_demo

    if not database.parent.is_dir():
        raise typer.BadParameter(f"the folder {database.parent} does not exist", param_hint="--database")
    if (content := foreign_content(database)) is not None:
        raise typer.BadParameter(
            f"{database} is {content}, and will not be replaced: remove it, or name another file",
            param_hint="--database",
        )
    output, errors = Console(), Console(stderr=True)
    raise typer.Exit(run_demo(database.resolve(), workers, month, quiet, output, errors, resume=resume))

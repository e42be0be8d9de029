"""``execution-dataflow artifacts``: whether what a store keeps is what was written."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from execution_dataflow.commands.engine_choices import JsonOption
from execution_dataflow.commands.mistakes import RUN_FAILED
from execution_dataflow.commands.parameter_options import documented_command
from execution_dataflow.commands.run_tables import plain_table
from execution_dataflow.commands.store_choices import (
    ArtifactsOption,
    StoreOption,
    chosen_store,
    complete_run,
    found_run,
    store_failures,
)
from execution_dataflow.commands.streams import only_results_on_stdout
from execution_dataflow.store_care.verifying import verify_artifacts

__all__ = ["artifacts"]

artifacts = typer.Typer(no_args_is_help=True, help="Look after the values that a store keeps.")


@artifacts.callback()
def group() -> None:
    """Look after the values that a store keeps."""


@documented_command(artifacts, "verify")
def verify(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN", help="Only what this run has committed.", autocompletion=complete_run, show_default=False
        ),
    ] = None,
    store: StoreOption = None,
    artifacts: ArtifactsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read every record and every artifact, and compare them with their checksums and signatures.

    Nothing is changed, and no pickle is loaded. What is damaged is computed anew when its run is resumed. The exit code
    is 0 when everything is as it was written, 1 when something is not, 2 when nothing could be read.
    """
    with only_results_on_stdout(as_json) as results, chosen_store(store, artifacts) as opened, store_failures(opened):
        if run is not None:
            found_run(opened, run)
        report = verify_artifacts(opened, run)
        if as_json:
            document = {"sound": report.is_sound, **asdict(report)}
            results.write(json.dumps(document, indent=2, allow_nan=False))
        else:
            console = Console(highlight=False)
            if report.findings:
                table = plain_table("run", "what", "fault")
                table.columns[-1].no_wrap = False
                for finding in report.findings:
                    table.add_row(Text(finding.run_id or ""), Text(finding.name), Text(finding.message))
                console.print(table)
                console.print()
            console.print(str(report), markup=False, soft_wrap=True)
            if report.unreferenced:
                console.print(
                    f"{report.unreferenced:,} artifacts that nothing refers to: execution-dataflow runs prune deletes "
                    "them an hour after they were written",
                    markup=False,
                    soft_wrap=True,
                )
    if not report.is_sound:
        raise typer.Exit(RUN_FAILED)

"""Runs of a store as tables for a terminal, and as documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from execution_dataflow.commands.ages import age_text, moment_text
from execution_dataflow.commands.run_choices import NOTE, resume_command
from execution_dataflow.quantities import bytes_text, counted, duration_text
from execution_dataflow.store_care.reports import PruneReport
from execution_dataflow.store_care.standing import is_held, standing_of
from execution_dataflow.stores.journal import Commit, RunSummary

__all__ = ["plain_table", "prune_document", "run_facts", "runs_table", "show_prune", "show_run"]

_STYLES = {
    "SUCCEEDED": "green",
    "FAILED": "bold red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "INTERRUPTED": "bold yellow",
}
# What a table of runs to be deleted shows at most.
_MOST_ROWS = 50


def plain_table(*columns: str, right: Sequence[str] = ()) -> Table:
    """Make a table with a line under its header and no frame; some columns are of numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def runs_table(summaries: Sequence[RunSummary], console: Console) -> Table:
    """Lay runs out, one in each line."""
    numbers = ("committed", "executions")
    table = plain_table("run", "graph", "state", *numbers, "changed", right=numbers)
    # Names give way where the terminal is narrow; to a pipe they go whole.
    if not console.is_terminal:
        console.width = max(console.width, 200)
    for summary in summaries:
        standing = standing_of(summary)
        table.add_row(
            Text(summary.run_id, overflow="fold"),
            Text(summary.graph_name),
            Text(standing.lower(), _STYLES.get(standing, "")),
            f"{summary.commits:,}",
            f"{summary.epoch:,}",
            age_text(summary.updated_at),
        )
    return table


def run_facts(summary: RunSummary) -> dict[str, Any]:
    """Return a run as a JSON document has it."""
    holder = summary.holder
    return {
        "run_id": summary.run_id,
        "graph": summary.graph_name,
        "state": standing_of(summary),
        "created_at": summary.created_at,
        "updated_at": summary.updated_at,
        "commits": summary.commits,
        "executions": summary.epoch,
        "is_held": is_held(summary),
        "holder": None if holder is None else {"host": holder.host, "process": holder.process},
        "lease_seconds_left": max(0.0, summary.lease_seconds_left),
        "can_resume": NOTE in summary.metadata,
        "metadata": dict(summary.metadata),
    }


def show_run(summary: RunSummary, commits: Sequence[Commit], most: int, console: Console, address: str) -> None:
    """Print what is known of a run, and what has committed last."""
    standing = standing_of(summary)
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    rows: list[tuple[str, str | Text]] = [
        ("run", Text(summary.run_id, "bold")),
        ("graph", Text(summary.graph_name)),
        ("state", Text(standing.lower(), _STYLES.get(standing, ""))),
        ("begun", f"{moment_text(summary.created_at)} ({age_text(summary.created_at)})"),
        ("changed", f"{moment_text(summary.updated_at)} ({age_text(summary.updated_at)})"),
        ("executions", f"{summary.epoch:,}"),
        ("committed", counted(summary.commits, "operation")),
    ]
    if summary.holder is not None and is_held(summary):
        where = f"process {summary.holder.process} of {summary.holder.host.partition('/')[0]}"
        rows.append(("held by", f"{where}, for {duration_text(summary.lease_seconds_left)} unless it is renewed"))
    rows += [(name, Text(text)) for name, text in sorted(summary.metadata.items())]
    for name, text in rows:
        facts.add_row(name, text)
    console.print(facts)
    if commits and most:
        console.print()
        console.print(_commits_table(commits[:most], console))
        if len(commits) > most:
            console.print(f"... and {len(commits) - most:,} more: --commits {len(commits)}", style="dim")
    if len(commits) < summary.commits:
        lost = summary.commits - len(commits)
        console.print(
            f"{counted(lost, 'record')} cannot be read: execution-dataflow artifacts verify {summary.run_id}",
            style="bold red",
            soft_wrap=True,
        )
    if standing not in ("SUCCEEDED", "RUNNING"):
        advice = "run its graph again from Python, with this run_id and checkpoint="
        if NOTE in summary.metadata:
            advice = resume_command(summary.run_id, address)
        console.print(f"\ngo on with: {advice}", markup=False, soft_wrap=True)


def _commits_table(commits: Sequence[Commit], console: Console) -> Table:
    table = plain_table("operation", "attempt", "took", "size", "ended", right=("attempt", "took", "size"))
    if not console.is_terminal:
        console.width = max(console.width, 200)
    for commit in commits:
        size = bytes_text(len(commit.outputs))
        if commit.artifacts:
            size += f" + {counted(len(commit.artifacts), 'artifact')}"
        table.add_row(
            Text(commit.key),
            str(commit.attempt),
            duration_text(max(0.0, commit.ended - commit.started)),
            size,
            moment_text(commit.ended),
        )
    return table


def show_prune(report: PruneReport, console: Console) -> None:
    """Print what was deleted, or what would be."""
    if report.runs and (report.dry_run or console.is_terminal):
        console.print(runs_table(report.runs[:_MOST_ROWS], console))
        if len(report.runs) > _MOST_ROWS:
            console.print(f"... and {len(report.runs) - _MOST_ROWS:,} more", style="dim")
        console.print()
    console.print(str(report), markup=False, soft_wrap=True)


def prune_document(report: PruneReport) -> dict[str, Any]:
    """Return what was deleted as a JSON document has it."""
    document = asdict(report)
    document["runs"] = [summary.run_id for summary in report.runs]
    document["held"] = [summary.run_id for summary in report.held]
    document["notes"] = list(report.notes)
    return document

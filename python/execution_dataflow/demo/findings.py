"""What the loaded database says, as tables for a terminal: the delays, and the quality of the data."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["plain_table", "print_findings"]

BAR_WIDTH = 10
HOUR = "printf('%02d:00', hour)"
# Below this many flights a mean is an anecdote, and no headline.
HEADLINE_FLIGHTS = 100


def print_findings(database: Path, console: Console) -> None:
    """Print what the delays depend on, and which rows were set aside and why, all of it read back from the database."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        console.print()
        for line in headlines(connection):
            console.print(line, highlight=False)
        for subject, label, table, order in (
            ("airline", "airline", "delays_by_carrier", "arrival_delay"),
            ("hour", HOUR, "delays_by_hour", "hour"),
            ("weather", "conditions", "delays_by_weather", "arrival_delay"),
        ):
            rows = connection.execute(f"SELECT {label} AS label, * FROM {table} ORDER BY {order}").fetchall()
            console.print()
            console.print(delay_table(subject, rows, console))
        console.print()
        console.print(quality_table(connection))


def headlines(connection: sqlite3.Connection) -> list[str]:
    """Say in a line each what stands out."""
    flights, cancelled = connection.execute("SELECT count(*), sum(cancelled) FROM flights").fetchone()
    lines = [f"{flights:,} flights are loaded; {cancelled:,} of them were cancelled.", "Best and worst on average, by"]
    for subject, label, table in (
        ("airline", "airline", "delays_by_carrier"),
        ("hour", HOUR, "delays_by_hour"),
        ("weather", "conditions", "delays_by_weather"),
    ):
        query = f"SELECT {label}, arrival_delay FROM {table} WHERE flights >= ? ORDER BY arrival_delay"
        ranked = [spoken(*row) for row in connection.execute(query, (HEADLINE_FLIGHTS,))]
        if ranked:
            lines.append(f"{subject + ':':<9}{ranked[0]}; {ranked[-1]}")
    return lines


def spoken(label: str, minutes: float) -> str:
    """Say how late or early something is."""
    return f"{label}, {abs(minutes):.0f} min {'late' if minutes >= 0 else 'early'}"


def plain_table(title: str) -> Table:
    """Make a table with a title, a line under its header, and no frame."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def delay_table(subject: str, rows: list[sqlite3.Row], console: Console) -> Table:
    """Lay out one of the delay tables, with a bar for the mean arrival delay."""
    table = plain_table(f"Delays by {subject}: mean delay on arrival, in minutes")
    table.add_column(subject, no_wrap=True)
    for header in ("flights", "cancelled", "> 15 min", "delay"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    block = "#" if console.options.ascii_only else "█"
    longest = max((abs(row["arrival_delay"]) for row in rows if row["arrival_delay"] is not None), default=0) or 1
    for row in rows:
        # Where every flight was cancelled there is no delay.
        delay, late = row["arrival_delay"], row["late_share"]
        bar = block * round(BAR_WIDTH * abs(delay or 0) / longest)
        table.add_row(
            row["label"],
            f"{row['flights']:,}",
            f"{row['cancelled_share']:.1%}",
            "" if late is None else f"{late:.0%}",
            "" if delay is None else f"{delay:+.1f}",
            f"[{'red' if (delay or 0) > 0 else 'green'}]{bar}[/]",
        )
    return table


def quality_table(connection: sqlite3.Connection) -> Table:
    """Lay out how many rows each table had, and how many were set aside for which reason."""
    table = plain_table("Quality of the data: rows that were set aside, and why")
    table.add_column("table", no_wrap=True)
    for header in ("read", "accepted", "set aside"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("reason")
    counted = 'SELECT count(*), reason FROM rejects WHERE "table" = ? GROUP BY reason ORDER BY count(*) DESC, reason'
    for row in connection.execute("SELECT * FROM row_counts").fetchall():
        table.add_row(row["table"], f"{row['rows']:,}", f"{row['accepted']:,}", f"{row['rejected']:,}", "")
        for count, reason in connection.execute(counted, (row["table"],)):
            table.add_row("", "", "", f"{count:,}", reason, style="dim")
    return table

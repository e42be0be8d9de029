"""Mistakes with the addresses of stores, and files that are none."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from bad_input import row

from execution_dataflow.stores.opening import open_store


@row("the address of a store without a scheme")
def _() -> None:
    open_store("runs.db")


@row("a misspelt scheme of a store")
def _() -> None:
    open_store("postgres://ada@db.example/runs")


@row("a store in memory")
def _() -> None:
    open_store("sqlite:///:memory:")


@row("an address of SQLite with two slashes")
def _() -> None:
    open_store("sqlite://runs.db")


@row("a misspelt setting in the address of a store")
def _() -> None:
    open_store("sqlite:///runs.db?busy_second=5")


@row("a store in a directory that does not exist")
def _() -> None:
    with TemporaryDirectory() as folder:
        open_store(Path(folder, "none", "runs.db"))


@row("a store in a file that is no database")
def _() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "runs.db")
        path.write_text("Dear diary. " * 200)
        open_store(path)

"""Mistakes in files that define graphs, and in saving a graph to one."""

from __future__ import annotations

from typing import Any

import filed_operations
import numpy as np
from bad_input import Load, row

from execution_dataflow import GraphDefinition


def load(text: str, form: Any = "json", allow: Any = ("filed_operations",)) -> None:
    GraphDefinition.loads(text, format=form, allow=allow)


def one(entry: str) -> None:
    load(f"version: 1\noperations:\n  clean: {{{entry}}}\n", "yaml")


@row("a call of an operation outside of a `with` block")
def _() -> None:
    Load()()


@row("a file with a name that is not allowed")
def _() -> None:
    one('operation: "os:system"')


@row("a plain function in a file")
def _() -> None:
    one('operation: "filed_operations:plain"')


@row("a misspelt name in a file")
def _() -> None:
    one('operation: "filed_operations:laod"')


@row("a misspelt source in a file")
def _() -> None:
    one('operation: "filed_operations:Plain", inputs: {raw: claen.out}')


@row("a constant where a file has sources")
def _() -> None:
    one('operation: "filed_operations:Plain", inputs: {raw: 3}')


@row("a misspelt word in a file")
def _() -> None:
    one('operation: "filed_operations:Plain", option: {}')


@row("`NaN` in JSON")
def _() -> None:
    load('{"version": NaN}')


@row("tabs in YAML")
def _() -> None:
    load("version: 1\nname:\n\tetl", "yaml")


@row("no version in a file")
def _() -> None:
    load("{}")


@row("a text for `allow=`")
def _() -> None:
    load("{}", allow="filed_operations")


@row("a file whose name says no format")
def _() -> None:
    GraphDefinition().save("graph.txt")


@row("a lambda in a graph that is saved")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(lambda: 1)
    graph.dumps(format="json")


@row("an array in a graph that is saved")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(filed_operations.accept, value=np.zeros(3))
    graph.dumps(format="json")

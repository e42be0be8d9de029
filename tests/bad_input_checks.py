"""Mistakes with checks of ports."""

from __future__ import annotations

from typing import Any

from bad_input import row, run_one

from execution_dataflow import Check, ExecutionResult, GraphDefinition, InputPort, Operation, OutputPort, operation
from execution_dataflow.checks import in_range, in_set, not_null, references

ROWS = [{"tail": "N1"}]


def given(*checks: Check) -> ExecutionResult:
    return run_one(operation(lambda: ROWS, name="load", checks={"result": checks}))


@row("a function where a check belongs")
def _() -> None:
    def is_whole(rows: Any) -> bool:
        return True

    OutputPort(list, checks=[is_whole])


@row("a severity that does not exist")
def _() -> None:
    not_null("tail", severity="error")


@row("a percentage where a part belongs")
def _() -> None:
    not_null("tail", mostly=95)


@row("a coroutine function as a predicate")
def _() -> None:
    async def is_known(rows: Any) -> bool:
        return True

    Check("known", is_known)


@row("values in the place of the column")
def _() -> None:
    in_set(["EWR", "JFK"], ["EWR", "JFK"])


@row("a check within a type")
def _() -> None:
    from typing import Annotated

    class Load(Operation):
        rows = InputPort(list[Annotated[int, in_range(low=0)]])

        def execute(self, context: object) -> None:
            pass

    graph = GraphDefinition("etl")
    graph.add(Load(), rows=[1])
    graph.compile()


@row("a check that refers to a port that is not there")
def _() -> None:
    graph = GraphDefinition("etl")
    check = references("tail", to="plane")
    graph.add(operation(lambda rows, planes: rows, name="join", checks={"rows": [check]}), rows=ROWS, planes=ROWS)
    graph.compile()


@row("a value that does not pass a check")
def _() -> ExecutionResult:
    return given(in_range("tail", low="N2"))


@row("a check of a column that is not there")
def _() -> ExecutionResult:
    return given(not_null("tial"))


@row("a check that names no column of a table")
def _() -> ExecutionResult:
    return given(in_range(low=0))


@row("a predicate that returns nothing")
def _() -> ExecutionResult:
    return given(Check("mine", lambda rows: None))


@row("a predicate that raises")
def _() -> ExecutionResult:
    return given(Check("mine", lambda rows: rows["tail"]))

"""Every row of the table in docs/errors.md: what somebody does wrong, the error, its message. None panics or hangs."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import bad_input_checks
import bad_input_composition
import bad_input_contracts
import bad_input_definition
import bad_input_expansion
import bad_input_files
import bad_input_limits
import bad_input_runs
import bad_input_servers
import bad_input_state
import bad_input_stores
import pytest
from bad_input import CASES, Load, run_one

from execution_dataflow import ExecutionEngine, ExecutionResult, GraphDefinition, OperationState, RunState

assert all((bad_input_checks, bad_input_composition, bad_input_contracts, bad_input_definition, bad_input_expansion))
assert all((bad_input_files, bad_input_limits, bad_input_runs, bad_input_servers, bad_input_state, bad_input_stores))

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


class Row(NamedTuple):
    """A row of the table; ``…`` in the message stands for any text."""

    error: str
    message: str
    cure: str


def documented() -> dict[str, Row]:
    rows = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and set(cells[0]) - set("-: ") and cells[0] != "what you did":
            rows[cells[0]] = Row(cells[1].strip("`"), cells[2], cells[3])
    return rows


ROWS = documented()


def error_of(case: Callable[[], object]) -> BaseException:
    try:
        result = case()
    except BaseException as error:
        return error
    assert isinstance(result, ExecutionResult), "neither an error nor a failed run"
    assert result.state is RunState.FAILED
    assert result.first_error is not None
    # Whatever an exception is like, these are there.
    assert result.get_error_message()
    assert result.summary()
    assert repr(result)
    assert result.first_error.traceback_text
    return result.first_error.exception


def text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:
        return f"(no text: its __str__ raised {type(fault).__name__})"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", CASES)
def test_bad_input_is_told_as_the_documentation_says(what: str) -> None:
    error, told = error_of(CASES[what]), ROWS[what]
    assert type(error).__name__ == told.error
    pattern = ".*".join(map(re.escape, told.message.strip("` ").split("…")))
    message = " ".join(text_of(error).split())
    assert re.fullmatch(pattern, message), f"\nsays:       {message}\ndocumented: {told.message}"


def test_every_documented_row_is_tested() -> None:
    assert set(CASES) == set(ROWS)


def test_every_row_has_a_cure() -> None:
    assert not [what for what, told in ROWS.items() if not told.cure]


def test_empty_graph_succeeds_and_is_empty() -> None:
    result = ExecutionEngine().run(GraphDefinition("nothing"))
    assert result.is_successful()
    assert result.get_error_message() is None
    assert result.outputs() == {}
    assert dict(result.states) == {}
    assert "no operations" in result.summary()
    assert ExecutionEngine().submit(GraphDefinition()).result(10).is_successful()


def test_subscriber_that_raises_is_logged_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    events = []

    def broken(event: object) -> None:
        raise ValueError("a broken subscriber")

    with ExecutionEngine() as engine:
        engine.subscribe(broken)
        engine.subscribe(events.append)
        graph = GraphDefinition()
        graph.add(Load())
        with caplog.at_level(logging.ERROR, logger="execution_dataflow"):
            assert engine.run(graph).is_successful()
    assert [type(event).__name__ for event in events] == [
        "GraphStarted",
        "OperationStarted",
        "OperationCompleted",
        "GraphCompleted",
    ]
    assert len(caplog.records) == len(events)
    assert "a broken subscriber" in str(caplog.records[0].exc_info)


def test_operation_may_run_another_graph() -> None:
    engine = ExecutionEngine(max_workers=2)

    def outer() -> int:
        inner = GraphDefinition()
        load = inner.add(Load())
        return engine.run(inner).get_output(load)

    graph = GraphDefinition()
    nodes = [graph.add(outer) for _ in range(10)]
    result = engine.run(graph)
    assert [result.get_output(node) for node in nodes] == [1] * 10


def test_interrupting_operation_leaves_a_cancelled_result() -> None:
    error = error_of(CASES["an operation that raises `KeyboardInterrupt`"])
    assert isinstance(error, KeyboardInterrupt)
    result = error.result  # type: ignore[attr-defined]
    assert result.state is RunState.CANCELLED
    assert set(result.states.values()) == {OperationState.CANCELLED}


def test_message_of_a_write_into_a_shared_array_says_what_to_do() -> None:
    result = CASES["writing into an array that is shared"]()
    assert isinstance(result, ExecutionResult)
    assert "mutable=True" in (result.get_error_message() or "")


def test_nothing_of_a_mistake_stays_behind() -> None:
    """Each case once more: the process still works, with no more threads than before."""
    for case in CASES.values():
        error_of(case)
    before = time.monotonic()
    assert run_one(Load()).is_successful()
    assert time.monotonic() - before < 5

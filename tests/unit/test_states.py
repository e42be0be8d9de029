"""The states of operations and runs (rule R5)."""

from __future__ import annotations

import pytest

from execution_dataflow.states import LEGAL_MOVES, OperationState, RunState

FINAL = {"SUCCEEDED", "RESTORED", "FAILED", "UPSTREAM_FAILED", "SKIPPED", "CANCELLED"}


def test_the_numbers_are_those_of_the_native_core() -> None:
    """R5: states cross the border as integers."""
    assert [state.name for state in OperationState] == [
        "PENDING",
        "READY",
        "RUNNING",
        "RETRYING",
        "SUCCEEDED",
        "RESTORED",
        "FAILED",
        "UPSTREAM_FAILED",
        "SKIPPED",
        "CANCELLED",
    ]
    assert [int(state) for state in OperationState] == list(range(10))


@pytest.mark.parametrize("state", OperationState)
def test_a_state_is_final_exactly_when_no_move_leads_out_of_it(state: OperationState) -> None:
    """R5: one table says what may follow what."""
    assert state.is_final == (not LEGAL_MOVES[state]) == (state.name in FINAL)


def test_every_state_can_be_reached_from_pending() -> None:
    """R5: no state is without a way to it."""
    reached = {OperationState.PENDING}
    frontier = [OperationState.PENDING]
    while frontier:
        for state in LEGAL_MOVES[frontier.pop()] - reached:
            reached.add(state)
            frontier.append(state)
    assert reached == set(OperationState)


def test_an_operation_succeeds_only_by_running() -> None:
    """R1: what succeeded has run."""
    assert {state for state in OperationState if OperationState.SUCCEEDED in LEGAL_MOVES[state]} == {
        OperationState.RUNNING
    }


def test_what_waits_for_a_retry_can_be_cancelled_or_fail_with_its_last_error() -> None:
    """R4 and R6: cancellation beats retries."""
    assert {OperationState.CANCELLED, OperationState.FAILED} <= LEGAL_MOVES[OperationState.RETRYING]


def test_the_table_of_moves_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        LEGAL_MOVES[OperationState.FAILED] = frozenset()  # type: ignore[index]


@pytest.mark.parametrize("state", RunState)
def test_a_run_is_over_unless_it_runs(state: RunState) -> None:
    assert state.is_final == (state.value != "RUNNING")
    assert str(state) == state.value

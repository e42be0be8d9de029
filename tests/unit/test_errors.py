"""Errors carry data, read well and travel."""

from __future__ import annotations

import pickle

import pytest

from execution_dataflow import errors
from execution_dataflow.errors import (
    CycleError,
    DataflowError,
    GraphError,
    GraphValidationError,
    MissingExtraError,
    NoValueError,
    OutputNotSetError,
    PortTypeError,
    RunInterrupted,
    UnconnectedInputError,
    UnknownOperationError,
    UnknownPortError,
)
from execution_dataflow.nearest import nearest_name

ALL = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]

EXAMPLES: list[BaseException] = [
    UnknownPortError("Clean", "raw_dta", ["raw_data"], "output", "More."),
    CycleError("a cycle", path=["a.x", "b.y", "a.x"]),
    GraphValidationError("etl", [UnconnectedInputError("unset", operation="a", port="x"), CycleError("c", path=["a"])]),
    PortTypeError("no", source="a.x", target="b.y", source_type="int", target_type="str"),
    OutputNotSetError("unset", operation="a", port="x"),
    NoValueError("none", operation="a", port="x", state="SKIPPED"),
    MissingExtraError("cli", "the command line"),
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_derives_from_one_base(kind: type[BaseException]) -> None:
    assert issubclass(kind, DataflowError) != (kind is RunInterrupted)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_can_be_made_from_a_message(kind: type[BaseException]) -> None:
    """The native core does so."""
    if kind not in (UnknownPortError, GraphValidationError, MissingExtraError):
        assert str(kind("what is wrong")) == "what is wrong"


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_a_pickle_with_their_data(error: BaseException) -> None:
    """R7: across processes too."""
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert repr(sorted(vars(twin))) == repr(sorted(vars(error)))


def test_an_interruption_is_not_an_exception_that_programs_catch() -> None:
    """R9."""
    assert not issubclass(RunInterrupted, Exception)
    assert issubclass(RunInterrupted, KeyboardInterrupt)


def test_errors_are_of_the_builtin_kind_that_a_reader_expects() -> None:
    assert issubclass(UnknownPortError, KeyError)
    assert issubclass(PortTypeError, TypeError)
    assert issubclass(MissingExtraError, ImportError)


def test_a_key_error_reads_as_a_sentence() -> None:
    assert str(UnknownOperationError("Load is not here", operation="Load")) == "Load is not here"


def test_an_unknown_port_says_what_there_is() -> None:
    """G2."""
    error = UnknownPortError("Clean", "raw_dta", ["raw_data", "limit"])
    assert (error.operation, error.port, error.known) == ("Clean", "raw_dta", ("raw_data", "limit"))
    assert error.nearest == "raw_data"
    assert str(UnknownPortError("Load", "x", [])) == "Load has no input port 'x'. It has no input ports."


def test_all_faults_are_told_at_once() -> None:
    """G2."""
    one = GraphValidationError("etl", [GraphError("only this")])
    assert str(one) == "etl cannot run: only this"
    two = GraphValidationError("etl", [GraphError("this"), GraphError("that")])
    assert str(two) == "etl cannot run, 2 faults:\n  1. this\n  2. that"


def test_the_nearest_name_ignores_case_and_needs_a_likeness() -> None:
    assert nearest_name("RAW", ["raw", "limit"]) == "raw"
    assert nearest_name("zebra", ["raw", "limit"]) is None
    assert nearest_name("x", []) is None

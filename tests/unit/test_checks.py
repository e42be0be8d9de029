"""Checks by themselves: what they are made of, what they say, and what they refuse."""

from __future__ import annotations

import json
import pickle
from typing import Annotated, Any

import pytest

from execution_dataflow import BrokenCheckError, Check, InputPort, OutputPort, operation
from execution_dataflow.checks import (
    CheckReport,
    CheckSummary,
    in_range,
    in_set,
    matches,
    not_null,
    references,
    row_count,
    unique,
)
from execution_dataflow.checks.outcome import plain
from execution_dataflow.errors import PortError

READY = [
    not_null("a", severity="warn"),
    unique("a", "b"),
    in_range("a", 0, 5, strict=True),
    in_range(low=0.5),
    in_set("a", [1, 2], mostly=0.9),
    matches("a", r"\d+", description="digits"),
    references("a", to="keys", to_column="k"),
    row_count(1, 5, name="some rows"),
]


@pytest.mark.parametrize("check", READY, ids=repr)
def test_the_repr_of_a_ready_check_makes_it_again(check: Check) -> None:
    again = eval(repr(check))
    assert repr(again) == repr(check)
    assert (again.name, again.severity, again.mostly) == (check.name, check.severity, check.mostly)


@pytest.mark.parametrize("check", READY, ids=repr)
def test_checks_travel_to_other_processes(check: Check) -> None:
    assert repr(pickle.loads(pickle.dumps(check))) == repr(check)


def test_equal_checks_make_equal_ports_so_that_operations_share_them() -> None:
    assert not_null("a") == not_null("a")
    assert hash(in_range("a", 1)) == hash(in_range("a", 1))
    assert OutputPort(list, checks=[not_null("a")]) == OutputPort(list, checks=[not_null("a")])
    assert not_null("a") != not_null("b")
    assert not_null("a") != not_null("a", severity="warn")


def test_a_check_does_not_change() -> None:
    check = not_null()
    with pytest.raises(AttributeError, match="does not change"):
        check.severity = "warn"
    with pytest.raises(AttributeError):
        del check.name


def test_a_check_judges_the_value_as_a_whole_or_row_by_row() -> None:
    whole = Check("short", lambda text: len(text) < 5)
    assert whole.evaluate("abc").passed
    assert whole.evaluate("abcdef").message == "short: the value does not pass: 'abcdef'"
    outcome = Check("even", lambda numbers: [number % 2 == 0 for number in numbers]).evaluate([2, 3, 4, 5])
    assert (outcome.passed, outcome.failed, outcome.total) == (False, 2, 4)
    assert outcome.examples == ((1, 3), (3, 5))
    assert outcome.message == "even: 2 of 4 rows do not pass: row 1 (3), row 3 (5)"


def test_only_the_first_rows_are_shown_of_how_many_there_are() -> None:
    outcome = in_range(low=0).evaluate([-1] * 1000)
    assert (outcome.failed, outcome.total, len(outcome.examples)) == (1000, 1000, 5)
    assert outcome.message == "in_range(low=0): 1000 of 1000 rows do not pass: row 0 (-1), row 1 (-1), row 2 (-1), ..."


@pytest.mark.parametrize(("mostly", "passes"), [(1.0, False), (0.95, True), (0.96, False), (0.0, True)])
def test_mostly_is_the_part_that_has_to_pass(mostly: float, passes: bool) -> None:
    assert in_range(low=0, mostly=mostly).evaluate([*range(19), -1]).passed is passes


def test_nothing_passes_every_check_but_a_count() -> None:
    assert not_null().evaluate([]).passed
    assert unique("a").evaluate([]).passed
    assert not row_count(1).evaluate([]).passed


def test_a_check_of_a_single_value_shows_it() -> None:
    assert in_range(high=9).evaluate(16).message == "in_range(high=9): 16 does not pass"
    assert in_range("a", high=9).evaluate({"a": 16, "b": 1}).message == "in_range(a, high=9): a=16 does not pass"


def test_the_columns_that_are_shown_can_be_chosen() -> None:
    rows = [{"id": 7, "low": 3, "high": 1, "more": 0}]
    ordered = Check("ordered", lambda rows: [row["low"] <= row["high"] for row in rows], columns=["id", "low"])
    assert ordered.evaluate(rows).examples == ((0, {"id": 7, "low": 3}),)


def test_an_outcome_and_a_report_turn_into_json() -> None:
    outcome = in_range("a", high=1).evaluate({"a": [0, float("inf"), 5]})
    fields = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert fields["examples"] == [{"row": 1, "value": {"a": "inf"}}, {"row": 2, "value": {"a": 5}}]
    assert fields["status"] == "failed"
    summary = CheckSummary("load", "rows", "output", "in_range", "fail", evaluated=3, passed=2, findings=(outcome,))
    report = CheckReport([summary])
    assert json.loads(report.to_json())["checks"][0]["not_passed"] == 1
    assert (report.passed, report.failed, len(report)) == (2, 1, 1)


def test_what_an_outcome_keeps_is_plain_and_short() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert plain("x" * 1000) == "x" * 200 + "..."
    assert "RuntimeError" in plain(Loud())
    assert type(plain(True)) is bool


def test_passing_tells_which_rows_to_keep() -> None:
    rows = [{"a": 1}, {"a": None}, {"a": 3}]
    assert not_null("a").passing(rows) == [True, False, True]
    assert references("a", to="known").passing(rows, {"known": {1}}) == [True, True, False]
    with pytest.raises(BrokenCheckError, match="as a whole"):
        Check("whole", lambda rows: True).passing(rows)


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        (lambda value: None, "it returned None"),
        (lambda value: [True], "1 truth for a value of 2 rows"),
        (lambda value: ["yes", "no"], "'yes' where a truth"),
        (lambda value: {"a": [True, True]}, "a mapping of columns where a truth"),
        (lambda value: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_check_without_an_answer_is_an_error_by_its_name(predicate: Any, message: str) -> None:
    with pytest.raises(BrokenCheckError, match=message) as caught:
        Check("mine", predicate).evaluate([1, 2])
    assert caught.value.check == "mine"
    assert str(caught.value).startswith("the check 'mine' cannot be evaluated: ")
    assert caught.value.__cause__ is not None


def test_a_column_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(BrokenCheckError, match="no column 'tailnumm'; did you mean 'tailnum'"):
        not_null("tailnumm").evaluate({"tailnum": ["N1"], "dest": ["SFO"]})
    with pytest.raises(BrokenCheckError, match="must name a column of the mapping of columns"):
        in_range(low=1).evaluate({"tailnum": ["N1"]})
    with pytest.raises(BrokenCheckError, match="no columns, such as 'a': leave the column out"):
        in_range("a", 1).evaluate(5)
    with pytest.raises(BrokenCheckError, match="differ in length"):
        not_null().evaluate({"a": [1], "b": [1, 2]})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Check("", bool),
        lambda: Check("x", 3),
        lambda: Check("x", bool, severity="error"),
        lambda: Check("x", bool, mostly=95),
        lambda: Check("x", bool, columns="a"),
        lambda: in_range("a"),
        lambda: in_set(["a"]),
        lambda: in_set(["a"], ["a"]),
        lambda: in_set("a", "abc"),
        lambda: matches("[a-z]+"),
        lambda: references("a"),
        lambda: row_count(),
        lambda: row_count(-1),
        lambda: InputPort(list, checks=not_null),
        lambda: InputPort(list, checks=[lambda value: True]),
        lambda: OutputPort(list, checks="not_null"),
    ],
)
def test_a_check_that_cannot_work_is_refused_where_it_is_made(make: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        make()


def test_a_coroutine_function_is_no_predicate() -> None:
    async def later(value: Any) -> bool:
        return True

    with pytest.raises(TypeError, match="plain function"):
        Check("later", later)


def test_annotations_give_checks_to_functions() -> None:
    @operation(outputs=("low", "high"))
    def limits(
        values: Annotated[list[int], row_count(1)], margin: Annotated[int, in_range(low=0)] = 0
    ) -> tuple[Annotated[int, in_range(low=-5)], int]:
        return min(values) - margin, max(values) + margin

    inputs, outputs = dict(limits.ports.inputs), dict(limits.ports.outputs)
    assert inputs["values"].checks == (row_count(1),)
    assert inputs["margin"].checks == (in_range(low=0),)
    assert outputs["low"].checks == (in_range(low=-5),)
    assert outputs["high"].checks == ()


def test_a_check_that_would_never_be_asked_is_refused() -> None:
    assert OutputPort(Annotated[list, not_null()] | None).checks == (not_null(),)
    with pytest.raises(PortError, match="stands inside of"):
        _ = InputPort(list[Annotated[int, in_range(low=0)]]).checks


def test_a_port_shows_and_keeps_its_checks() -> None:
    port = InputPort(list, checks=[not_null("a")], description="rows")
    assert repr(port) == "InputPort(list, checks=[not_null('a')], description='rows')"
    assert pickle.loads(pickle.dumps(port)).checks == (not_null("a"),)
    assert InputPort(list, checks=not_null("a")).checks == (not_null("a"),)

"""Text becomes values exactly as a type reads it, and what cannot be read says what was expected."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_dataflow.commands.text_values import choices, expected, is_list, is_writable, value_from_texts


class Mode(Enum):
    quick = "q"
    careful = "c"


@pytest.mark.parametrize(
    ("texts", "hint", "value"),
    [
        (["12"], int, 12),
        (["-3"], int, -3),
        (["0.1"], float, 0.1),
        (["3"], float, 3.0),
        (["3"], Any, "3"),
        (["yes"], bool, True),
        (["OFF"], bool, False),
        (["a=b:c d"], str, "a=b:c d"),
        (["none"], str, "none"),
        (["2026-11-23"], date, date(2026, 11, 23)),
        (["2026-11-23T14:20"], datetime, datetime(2026, 11, 23, 14, 20)),
        (["data/x.csv"], Path, Path("data/x.csv")),
        (["0.10"], Decimal, Decimal("0.10")),
        (["quick"], Mode, Mode.quick),
        (["c"], Mode, Mode.careful),
        (["2"], Literal[1, 2, "x"], 2),
        (["none"], int | None, None),
        (["7"], Optional[int], 7),  # noqa: UP045 - the old spelling too
        (["12"], int | str, 12),
        (["12a"], int | str, "12a"),
        (["5"], Annotated[int, "how many"], 5),
        (["1", "2"], list[int], [1, 2]),
        (["[1, 2]"], list[int], [1, 2]),
        (["1", "2"], list[int] | None, [1, 2]),
        (["a,b"], list[str], ["a,b"]),
        (["[x]"], list[str], ["[x]"]),
        (['["a", "b"]'], Sequence[str], ["a", "b"]),
        (["1", "1"], set[int], {1}),
        (["1", "2", "3"], tuple[int, ...], (1, 2, 3)),
        (['[1, "a"]'], tuple[int, str], (1, "a")),
        (["[[1], [2, 3]]"], list[list[int]], [[1], [2, 3]]),
        (['{"a": 1}'], dict[str, int], {"a": 1}),
        (['{"a": [1.5]}'], dict, {"a": [1.5]}),
    ],
)
def test_text_becomes_the_value_of_its_type(texts: list[str], hint: Any, value: Any) -> None:
    made = value_from_texts(texts, hint)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("texts", "hint", "message"),
    [
        (["1.0"], int, "expected an integer, not '1.0'"),
        (["[1.0]"], list[int], "expected an integer, not '1.0'"),
        (["[1]"], list[str], "expected text, not '1'"),
        (["maybe"], bool, "expected true or false, not 'maybe'"),
        (["23.11.2026"], date, "expected a date like 2026-11-23, not '23.11.2026'"),
        (["quik"], Mode, "expected one of quick, careful, not 'quik'; did you mean 'quick'?"),
        (["x"], int | None, "expected an integer or 'none', not 'x'"),
        (["1", "2"], int, "expected an integer once, and it was given 2 times"),
        (["1,2"], list[int], "give it once for each, or all as a JSON array"),
        (["[1]"], tuple[int, str], "expected a JSON array of 2: an integer, text; it has 1"),
        (["{"], dict[str, int], "expected a JSON object, not '{'"),
        (["[1]"], dict[str, int], "expected a JSON object, not '[1]'"),
        (['{"a": 1, "a": 2}'], dict[str, int], "the key 'a' is given twice in one JSON object"),
        (['{"a": {"b": 1, "b": 2}}'], dict | None, "the key 'b' is given twice"),
        (['[{"a": 1, "a": 2}]'], list[dict[str, int]], "the key 'a' is given twice"),
        (["x"], memoryview, "cannot be written on a command line"),
    ],
)
def test_what_cannot_be_read_says_what_was_expected(texts: list[str], hint: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        value_from_texts(texts, hint)


@given(st.integers())
def test_every_integer_is_read_back(number: int) -> None:
    assert value_from_texts([str(number)], int) == number


@given(st.floats(allow_nan=False))
def test_every_float_is_read_back(number: float) -> None:
    assert value_from_texts([repr(number)], float) == number


@given(st.lists(st.text()).filter(lambda texts: len(texts) != 1))
def test_a_list_of_texts_is_taken_as_it_is(texts: list[str]) -> None:
    assert value_from_texts(texts, list[str]) == texts


@given(
    st.lists(st.text(), min_size=1),
    st.sampled_from(
        [int, float, bool, date, Mode, list[int], dict[str, int], tuple[int, int], int | None, Path, Decimal]
    ),
)
def test_no_text_raises_anything_but_value_error(texts: list[str], hint: Any) -> None:
    with contextlib.suppress(ValueError):
        value_from_texts(texts, hint)


def test_choices_are_those_of_literals_enumerations_and_booleans() -> None:
    assert choices(Mode) == ["quick", "careful"]
    assert choices(list[Literal["a", "b"]]) == ["a", "b"]
    assert choices(bool) == ["true", "false"]
    assert choices(int) == []


def test_a_type_says_whether_it_can_be_written() -> None:
    assert is_writable(list[int | None])
    assert not is_writable(memoryview)
    assert not is_writable(list[memoryview])
    assert is_list(list[int] | None)
    assert not is_list(str)
    assert expected(list[int]) == "a list, each of it an integer"

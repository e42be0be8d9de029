"""Digests of values: equal values have the same, others have others, in every process."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import os
import subprocess
import sys
import threading
import uuid
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import InitVar, dataclass, field
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execution_dataflow.fingerprint_errors import UnfingerprintableError
from execution_dataflow.fingerprinting import value_digest

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=3), max_size=5)
    ),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: int = 0


Pair = namedtuple("Pair", "left right")


@dataclass
class Settings:
    size: int
    names: list[str] = field(default_factory=list)


class Plain:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.connection = threading.local()

    def __fingerprint__(self) -> str:
        return self.name


def new_values() -> list[Any]:
    """Make values that are all different from each other; called again, values that are equal to these."""
    return [
        *(
            None,
            ...,
            NotImplemented,
            True,
            False,
            0,
            1,
            -1,
            2**70,
            0.0,
            1.0,
            -0.0,
            1j,
            "",
            "1",
            b"",
            b"1",
            bytearray(b"1"),
        ),
        *([], (), {}, set(), frozenset(), [1], (1,), {1}, frozenset({1}), {1: None}, [[1], 2], [1, [2]], "\ud800"),
        *({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a", "b", "c"}, range(3), range(4), slice(1, 2)),
        *(Colour.RED, Colour.BLUE, Point(1), Point(2), Pair(1, 0), Settings(1), Settings(1, ["a"]), (1, 0)),
        *(Plain(a=1), Plain(a=2), Plain(b=1), Slotted(1), Slotted(2), SimpleNamespace(a=1), Named("a"), Named("b")),
        *(datetime.date(2026, 11, 23), datetime.datetime(2026, 11, 23), datetime.timedelta(1), uuid.UUID(int=1)),
        datetime.datetime(2026, 11, 23, tzinfo=datetime.timezone.utc),  # noqa: UP017
        *(decimal.Decimal("1"), decimal.Decimal("1.0"), PurePosixPath("a"), PurePosixPath("b"), Path("a")),
        *(OrderedDict(a=1), defaultdict(list, a=1), defaultdict(set, a=1), Counter("a"), deque([1]), deque([1], 2)),
        *(array("i", [1]), array("l", [1]), memoryview(b"ab"), int, float, list[int], int | str, print, len, "a".upper),
        *(Colour, Point, Settings, Plain, os.path, sys),
    ]


def test_different_values_have_different_digests() -> None:
    values = new_values()
    by_digest: dict[bytes, Any] = {}
    for value in values:
        digest = value_digest(value)
        assert len(digest) == 16
        assert digest not in by_digest, f"{value!r} and {by_digest[digest]!r}"
        by_digest[digest] = value


def test_equal_values_have_the_same_digest() -> None:
    for value, same in zip(new_values(), new_values(), strict=True):
        assert value_digest(value) == value_digest(same), repr(value)


@settings(max_examples=30, deadline=None)
@given(PLAIN)
def test_copy_of_a_plain_value_has_the_same_digest(value: Any) -> None:
    copy = eval(repr(value), {"inf": float("inf"), "infj": complex(0, float("inf"))})
    if repr(copy) == repr(value):  # not of complex numbers whose repr loses a sign
        assert value_digest(value) == value_digest(copy)


@settings(max_examples=30, deadline=None)
@given(PLAIN, PLAIN)
def test_values_that_are_not_alike_have_different_digests(one: Any, other: Any) -> None:
    def form(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value), tuple(map(form, value))
        if isinstance(value, dict):
            return dict, tuple((form(key), form(item)) for key, item in value.items())
        if isinstance(value, frozenset):
            return frozenset, frozenset(map(form, value))
        return type(value), repr(value)

    assert (value_digest(one) == value_digest(other)) == (form(one) == form(other))


@given(st.lists(st.integers() | st.text(max_size=3), max_size=8, unique=True), st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_in_which_a_set_was_filled_does_not_count(items: list[Any], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert value_digest(set(items)) == value_digest(set(shuffled))


SCRIPT = """
import sys
sys.path[:0] = {path!r}
from test_fingerprint_values import new_values
from execution_dataflow.fingerprinting import value_digest
print(b"".join(map(value_digest, new_values())).hex())
"""


def test_digests_are_the_same_in_other_processes_whatever_the_hash_seed_is() -> None:
    path = [str(Path(__file__).parent), *filter(None, sys.path)]
    said = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(path=path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop().strip()) == 32 * len(new_values())


def test_container_may_hold_itself() -> None:
    def endless(last: int) -> list[Any]:
        made: list[Any] = [1, {}]
        made[1]["it"] = made
        return [*made, last]

    assert value_digest(endless(1)) == value_digest(endless(1)) != value_digest(endless(2))


def test_value_that_lies_too_deep_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UnfingerprintableError, match="too deep"):
        value_digest(deep)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: sys.__stdout__, "TextIOWrapper has no content"),
        (lambda: (number for number in range(3)), "generator has no content"),
        (
            lambda: {"settings": [1, Plain(link=threading.local())]},
            r"attribute 'link' of Plain of \[1\] of \['settings'\]",
        ),
    ],
)
def test_what_cannot_be_compared_says_where_it_is_and_what_to_do(value: Any, message: str) -> None:
    made = value()
    with pytest.raises(UnfingerprintableError, match=message) as caught:
        value_digest(made)
    assert "__fingerprint__" in str(caught.value)


def test_locks_and_loggers_do_not_count_by_what_they_do_just_now() -> None:
    import logging

    lock = threading.Lock()
    before = value_digest([lock, logging.getLogger("a")])
    with lock:
        assert value_digest([threading.Lock(), logging.getLogger("a")]) == value_digest([lock, logging.getLogger("a")])
    assert value_digest([lock, logging.getLogger("b")]) != before


def test_code_of_a_class_counts_for_its_instances() -> None:
    def instance(result: int) -> Any:
        class Model:
            def predict(self) -> int:
                return result

        return Model()

    assert value_digest(instance(1)) == value_digest(instance(1)) != value_digest(instance(2))


class Filtered(Settings):
    def __init__(self, where: str) -> None:
        super().__init__(1)
        self.where = where

    @functools.cached_property
    def shown(self) -> str:
        return f"where {self.where}"


class WithSlot(Settings):
    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        super().__init__(1)
        self.where = where


@dataclass
class Scale:
    name: str
    factor: InitVar[float]

    def __post_init__(self, factor: float) -> None:
        self._factor = factor


@dataclass
class Rows(list[int]):
    name: str


@dataclass
class Fault(Exception):
    name: str


class Repeated:
    def __init__(self, function: Any, times: int) -> None:
        functools.update_wrapper(self, function)
        self.times = times

    def __call__(self, x: int) -> int:
        return x


class Chosen(set[int]):
    __slots__ = ("name",)


@dataclass
class Connected:
    name: str

    def __post_init__(self) -> None:
        self.connection = threading.local()
        self.day = self.name[-1]

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "day": self.day}


def with_attributes(value: Any, **attributes: Any) -> Any:
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def rows_of(*items: int) -> Rows:
    rows = Rows("a")
    rows.extend(items)
    return rows


@pytest.mark.parametrize(
    "values",
    [
        lambda: [Filtered("a"), Filtered("b"), Settings(1)],
        lambda: [WithSlot("a"), WithSlot("b")],
        lambda: [Scale("a", 1), Scale("a", 2)],
        lambda: [rows_of(1), rows_of(2), rows_of()],
        lambda: [Fault("a").with_traceback(None), with_attributes(Fault("a"), args=(1,))],
        lambda: [Settings(1), with_attributes(Settings(1), extra=1), with_attributes(Settings(1), extra=2)],
        lambda: [Repeated(len, 1), Repeated(len, 2)],
        lambda: [with_attributes(Chosen({1}), name="a"), with_attributes(Chosen({1}), name="b")],
        lambda: [Connected("a"), Connected("b"), with_attributes(Connected("a"), day="c")],
    ],
)
def test_what_an_instance_has_besides_its_declared_fields_counts(values: Any) -> None:
    digests = [value_digest(value) for value in values()]
    assert len(set(digests)) == len(digests)
    assert digests == [value_digest(value) for value in values()]


def test_what_an_instance_computed_from_its_fields_does_not_count() -> None:
    used = Filtered("a")
    assert used.shown == "where a"
    assert value_digest(used) == value_digest(Filtered("a"))

"""Which types may be connected, and which values a port takes (rule G3)."""

from __future__ import annotations

import collections.abc
import enum
import io
import os
import re
import subprocess
import sys
import tempfile
import typing
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import numpy as np
import pytest
from numpy.typing import NDArray

from execution_dataflow import ArraySpec, InputPort, OutputPort, PortError, TableSchema
from execution_dataflow.type_rules import check_value, describe, fits, value_check

T = TypeVar("T")
Number = TypeVar("Number", int, str)
UserId = NewType("UserId", int)


class Animal: ...


class Dog(Animal): ...


class Stone: ...


class Colour(enum.Enum):
    RED = 1


class Box(Generic[T]): ...


class Row(TypedDict):
    id: int


class Readable(Protocol):
    def read(self) -> bytes: ...


@typing.runtime_checkable
class Closeable(Protocol):
    def close(self) -> None: ...


class OwnFile(typing.TextIO): ...


class FileOfServer:
    def read(self) -> bytes: ...

    def readline(self) -> bytes: ...


FITTING: list[tuple[Any, Any]] = [
    (int, int),
    (bool, int),
    (int, float),
    (bool, float),
    (float, complex),
    (Dog, Animal),
    (Animal, Dog),  # the value shows it
    (object, int),
    (int, object),
    (Any, int),
    (int, Any),
    (int, int | str),
    (int | None, int),
    (int | None, str | None),
    (Optional[int], Union[int, str]),  # noqa: UP007, UP045 - the older spelling is a type of its own
    (None, int | None),
    (list[int], list),
    (list, list[int]),
    (list[int], list[float]),
    (list[Any], list[int]),
    (list[int], collections.abc.Sequence[int]),
    (list[int], collections.abc.Sequence[float]),
    (dict[str, int], collections.abc.Mapping[str, float]),
    (collections.abc.Iterable, list),
    (collections.abc.Iterable, collections.abc.Sized),
    (tuple[int, str], tuple[int, str]),
    (tuple[int, ...], tuple[int, int]),
    (tuple[int, int], tuple[float, ...]),
    (tuple[int, int], collections.abc.Sequence[int]),
    (type[Dog], type[Animal]),
    (Box[int], Box[float]),
    (Box[int], Box),
    (Row, dict),
    (Row, dict[str, Any]),
    (Literal["a"], str),
    (str, Literal["a", "b"]),
    (Literal["a", "c"], Literal["a", "b"]),
    (Annotated[int, "metres"], int),
    (UserId, int),
    (T, int),
    (Number, int),
    ("SomewhereElse", int),
    (int, "SomewhereElse"),
    (Dog, Readable),
    (Dog, Closeable),
    (collections.abc.Callable[[int], str], collections.abc.Callable[..., Any]),
    (np.ndarray, NDArray[np.float64]),
    (NDArray[np.float64], NDArray[np.floating]),
    (NDArray[np.floating], NDArray[np.float64]),
    (np.float64, float),
    (io.StringIO, typing.TextIO),
    (typing.TextIO, typing.IO[str]),
    (typing.TextIO, typing.IO),
    (typing.IO, typing.BinaryIO),
    (typing.IO[bytes], io.BufferedReader),
    (typing.IO[str], io.IOBase),
    (io.IOBase, typing.IO[str]),
    (typing.TextIO, collections.abc.Iterable[str]),
    (typing.IO[str], Closeable),
    (list[io.StringIO], list[typing.IO[str]]),
    (typing.TextIO, typing.IO[str] | None),
    (OwnFile, typing.IO[str]),
]

DISJOINT: list[tuple[Any, Any]] = [
    (bytes, str),
    (float, int),
    (str, float),
    (int, None),
    (Dog, Stone),
    (int | bytes, str | None),
    (list[int], list[str]),
    (list[int], tuple[int, ...]),
    (dict[str, int], dict[int, int]),
    (list[int], collections.abc.Sequence[str]),
    (int, collections.abc.Iterable),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, int], tuple[int, int, int]),
    (tuple[int, str], tuple[int, ...]),
    (Box[int], Box[str]),
    (type[Dog], type[Stone]),
    (Literal["a"], int),
    (int, Literal["a"]),
    (Literal["a"], Literal["b"]),
    (Literal[1], Literal[True]),
    (Annotated[int, "metres"], str),
    (UserId, str),
    (int, Closeable),
    (NDArray[np.float64], NDArray[np.int32]),
    (np.ndarray, list),
    (io.StringIO, typing.BinaryIO),
    (typing.IO[bytes], typing.IO[str]),
    (typing.IO[str], io.BytesIO),
    (typing.TextIO, str),
    (str, typing.IO),
    (OwnFile, typing.IO[bytes]),
]


@pytest.mark.parametrize(("source", "target"), FITTING, ids=lambda hint: describe(hint))
def test_types_that_may_fit_can_be_connected(source: Any, target: Any) -> None:
    """G3."""
    assert fits(source, target)


@pytest.mark.parametrize(("source", "target"), DISJOINT, ids=lambda hint: describe(hint))
def test_types_that_can_never_fit_are_refused(source: Any, target: Any) -> None:
    """G3."""
    assert not fits(source, target)


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [1, True], ["1", 1.0, None]),
        (float, [1.0, 1, np.float64(2)], ["1", None]),
        (complex, [1j, 1.0, 1], ["1"]),
        (None, [None], [0]),
        (int | None, [1, None], ["1"]),
        (Optional[float], [1, 1.5, None], ["1"]),  # noqa: UP045 - the older spelling is a type of its own
        (list[int], [[1], ["not looked at"]], [(1,)]),
        (dict[str, int], [{}], [[]]),
        (collections.abc.Sequence[int], [[1], (1,)], [{1}]),
        (tuple[int, str], [(1, "a"), (1,)], [[1, "a"]]),
        (type[Animal], [Dog], [Dog()]),
        (Animal, [Animal(), Dog()], [Stone()]),
        (Box[int], [Box()], [[]]),
        (Row, [{"id": 1}], [[]]),
        (UserId, [1], ["1"]),
        (Colour, [Colour.RED], [1]),
        (Annotated[int, "metres"], [1], ["1"]),
        (Literal["a", 1], ["a", 1], ["b", True]),
        (Literal["a"] | int, ["a", 7], ["b"]),
        (Number, [1, "1"], [1.5]),
        (collections.abc.Callable[[int], str], [len, Animal], [1]),
        (Closeable, [open], []),
        (NDArray[np.float64], [np.zeros(2)], [np.zeros(2, dtype=np.float32), [0.0]]),
        (NDArray[np.floating], [np.zeros(2, dtype=np.float32)], [np.zeros(2, dtype=int)]),
        (np.ndarray[tuple[int, int], np.dtype[Any]], [np.zeros((2, 2))], [np.zeros(2)]),
        (np.ndarray, [np.zeros(2)], [[0.0]]),
        (typing.TextIO, [io.StringIO(), sys.stdout, OwnFile(), FileOfServer()], [io.BytesIO(), "path", None]),
        (typing.IO[str] | None, [io.StringIO(), None], [io.BytesIO(), "path"]),
        (typing.BinaryIO, [io.BytesIO(), io.FileIO(os.devnull), FileOfServer()], [io.StringIO(), OwnFile(), b""]),
        (typing.IO[bytes], [io.BytesIO()], [io.StringIO()]),
        (typing.IO, [io.BytesIO(), io.StringIO()], ["path", 3]),
    ],
    ids=lambda hint: describe(hint) if not isinstance(hint, list) else "",
)
def test_values_are_checked_by_class(hint: Any, good: list[Any], bad: list[Any]) -> None:
    """G3: exactly, and never by their elements."""
    check = value_check(hint)
    for value in good:
        if not (hint is Closeable and value is open):
            assert check_value(check, value) is None, value
    for value in bad:
        assert check_value(check, value) is not None, value


def test_temporary_files_are_files() -> None:
    """G3: they are wrapped, so that their classes say nothing of what they hold."""
    for mode, hint in (("w+", typing.TextIO), ("w+b", typing.BinaryIO), ("w+", typing.IO[str]), ("w+b", typing.IO)):
        with tempfile.NamedTemporaryFile(mode) as named, tempfile.SpooledTemporaryFile(mode=mode) as spooled:
            assert [check_value(value_check(hint), file) for file in (named, spooled)] == [None, None]
    assert fits(tempfile.SpooledTemporaryFile, typing.TextIO)


@pytest.mark.parametrize("hint", [Any, object, T, "Elsewhere", Readable, typing.ForwardRef("Elsewhere")])
def test_what_cannot_be_checked_takes_anything(hint: Any) -> None:
    """G3."""
    assert value_check(hint) is None


def test_a_runtime_protocol_is_checked_by_its_methods() -> None:
    """G3."""

    class Door:
        def close(self) -> None: ...

    check = value_check(Closeable)
    assert check_value(check, Door()) is None
    assert check_value(check, 3) is not None


def test_plain_classes_are_checked_without_a_call_into_python() -> None:
    """G3: the native core checks a class or a tuple of classes by itself."""
    assert value_check(bytes) is bytes
    assert value_check(int | None) == (int, type(None))
    assert value_check(list[int]) is list


def test_dtype_and_shape_of_arrays_are_checked() -> None:
    """G3."""
    check = value_check(np.ndarray, dtype="float64", shape=(None, 3))
    assert check_value(check, np.zeros((7, 3))) is None
    assert check_value(check, np.zeros((7, 4))) == "expected an array of shape (*, 3), got shape (7, 4)"
    assert check_value(check, np.zeros((7, 3), dtype="f4")) == "expected an array of dtype float64, got dtype float32"
    assert check_value(check, [1.0]) == "expected ndarray, got list"
    abstract = value_check(Any, dtype=np.floating)
    assert check_value(abstract, np.float32(1)) is None
    assert check_value(abstract, np.int64(1)) is not None
    assert check_value(abstract, "text") == "expected an array of dtype floating, got str"


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        (str, ["ab"], [b"ab"]),
        ("U", ["ab"], [1]),
        ("S", [b"ab"], ["ab"]),
        (bytes, [b"ab"], ["ab"]),
        ("V", np.zeros(1, "f8,i4"), [1]),
        ("datetime64", np.array(["2020"], "M8[D]"), np.array([1], "m8[s]")),
        ("m8", np.array([1], "m8[s]"), np.array(["2020"], "M8[D]")),
        (np.dtype("M8"), np.array(["2020"], "M8[D]"), [1.0]),
        ("U2", ["ab"], ["abc"]),
        ("M8[D]", np.array(["2020"], "M8[D]"), np.array(["2020"], "M8[s]")),
    ],
    ids=str,
)
def test_a_dtype_without_length_or_unit_is_all_of_its_kind(dtype: Any, good: Any, bad: Any) -> None:
    check = value_check(np.ndarray, dtype=dtype)
    assert check_value(check, np.asarray(good)) is None
    assert check_value(check, np.asarray(bad)) is not None
    found = ArraySpec(np.asarray(good).dtype)
    assert fits(Annotated[np.ndarray, ArraySpec(dtype)], Annotated[np.ndarray, found])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("flaot64", "float64"),
        ("unit64", "uint64"),
        ("stirng", "string"),
        ("catgory", "category"),
        ("datetim64[ns]", "d"),
    ],
)
def test_a_misspelt_dtype_is_refused_where_it_is_written(name: str, meant: str) -> None:
    for make in (lambda: ArraySpec(name), lambda: InputPort(Any, dtype=name), lambda: OutputPort(Any, dtype=name)):
        with pytest.raises(PortError, match=f"there is no dtype '{re.escape(name)}'; did you mean '{meant}"):
            make()
    with pytest.raises(PortError, match=f"column 'a': there is no dtype '{re.escape(name)}'; did you mean '{meant}"):
        TableSchema({"a": name})
    with pytest.raises(PortError, match="column 'a': 3 is no dtype"):
        TableSchema({"a": 3})


@pytest.mark.parametrize(
    "name", ["Int64", "pint[m]", "geometry", "period[D]", "bfloat16", "float8_e4m3fn", "utf8", "longlong", "own", "<f8"]
)
def test_dtypes_of_libraries_that_are_not_there_may_be_named(name: str) -> None:
    ArraySpec(name)
    TableSchema({"a": name})


def test_messages_show_short_values_and_both_types() -> None:
    assert check_value(bytes, "text") == "expected bytes, got str ('text')"
    assert check_value((int, type(None)), b"x" * 100) == "expected int or None, got bytes"
    assert check_value(value_check(Literal["a", "b"]), "c") == "expected one of 'a', 'b', got str ('c')"


def test_a_value_whose_repr_raises_is_described_by_its_class() -> None:
    class Rude(str):
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "got" in (check_value(bytes, Rude("x")) or "")


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "int"),
        (None, "None"),
        (int | None, "int | None"),
        (Union[int, str], "int | str"),  # noqa: UP007 - the older spelling is a type of its own
        (list[int], "list[int]"),
        (Any, "Any"),
        (typing.Literal["a"], "Literal['a']"),
        (np.ndarray, "numpy.ndarray"),
    ],
)
def test_types_are_described_as_a_person_writes_them(hint: Any, text: str) -> None:
    assert describe(hint) == text


def test_plain_types_are_compared_without_an_import() -> None:
    """G3: numpy and beartype are not loaded for classes, unions and containers that fit."""
    code = (
        "import sys; from execution_dataflow.type_rules import fits, value_check\n"
        "assert fits(int, float) and fits(int | None, int) and fits(list[int], list[float]) and not fits(int, str)\n"
        "value_check(list[int])\n"
        "print([name for name in ('numpy', 'beartype') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr

"""Every form of type hint, and the reason that is given where two can never fit (rule G3)."""

from __future__ import annotations

import collections.abc
import subprocess
import sys
import typing
from typing import (
    Annotated,
    Any,
    Concatenate,
    Final,
    ForwardRef,
    Generic,
    Literal,
    LiteralString,
    NamedTuple,
    Never,
    NewType,
    NotRequired,
    ParamSpec,
    Protocol,
    Self,
    TypedDict,
    TypeGuard,
    TypeVar,
    TypeVarTuple,
    Unpack,
)

import numpy as np
import pytest
from numpy.typing import NDArray

from execution_dataflow import ArraySpec, GraphDefinition, InputPort, Operation, OutputPort, PortTypeError, operation
from execution_dataflow.errors import PortError
from execution_dataflow.type_rules import check_value, fits, misfit, value_check

T = TypeVar("T")
K = TypeVar("K")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
Text = TypeVar("Text", bound=str)
Metres = NewType("Metres", float)


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Pair(Generic[K, T]): ...


class Swapped(Pair[T, K], Generic[K, T]): ...


class Row(TypedDict):
    id: int
    note: NotRequired[str]


class Order(TypedDict):
    id: str


class Point(NamedTuple):
    x: int


@typing.final
class Sealed:
    __slots__ = ()


class Open: ...


class Readable(Protocol):
    def read(self) -> bytes: ...


class Named(Protocol):
    name: str


class Source(Protocol[T]):
    def take(self) -> T: ...


REASONS: list[tuple[Any, Any, str]] = [
    (list[int], list[str], "list[int] is no list[str]: int is no str"),
    (dict[str, int], dict[int, int], "dict[str, int] is no dict[int, int]: its keys: str is no int"),
    (dict[str, int], dict[str, str], "dict[str, int] is no dict[str, str]: its values: int is no str"),
    (
        dict[str, list[int]],
        dict[str, list[str]],
        "dict[str, list[int]] is no dict[str, list[str]]: its values: list[int] is no list[str]: int is no str",
    ),
    (dict[str, int], collections.abc.Iterable[int], "its keys: str is no int"),
    (collections.abc.Generator[int, None, None], collections.abc.Iterator[str], "int is no str"),
    (tuple[int, int], tuple[int, int, int], "2 items are not 3"),
    (tuple[int, str], tuple[int, int], "item 2: str is no int"),
    (tuple[int, str], tuple[int, *tuple[int, ...]], "item 2: str is no int"),
    (tuple[int], tuple[int, str, *tuple[int, ...]], "1 items are not 2 or more"),
    (tuple[int, *Ts, str], tuple[str, int], "item 1: int is no str"),
    (int | bytes, str | None, "no member of one fits a member of the other"),
    (int | None, str, "no member of one fits a member of the other"),
    (bytes, str, "bytes is no str"),
    (IntBox, Box[str], "int is no str"),
    (Box[str], IntBox, "str is no int"),
    (Swapped[int, str], Pair[int, str], "parameter 1: str is no int"),
    (Literal["a"], Literal["b"], "Literal['a'] is no Literal['b']"),
    (Literal["a", "b"], int, "Literal['a', 'b'] is no int"),
    (LiteralString, int, "is no int"),
    (collections.abc.Callable[P, int], collections.abc.Callable[..., str], "what they return: int is no str"),
    (collections.abc.Callable[Concatenate[int, P], int], collections.abc.Callable[[int], str], "int is no str"),
    (typing.Callable[[int], int], collections.abc.Callable[[int], str], "int is no str"),
    (Row, Order, "the key 'id': int is no str"),
    (Row, dict[str, str], "the key 'id': int is no str"),
    (dict[int, int], Row, "its keys: int is no str"),
    (dict[str, str], Row, "the key 'id': str is no int"),
    (int, Readable, "int has no read"),
    (int, Named, "int has no name"),
    (Sealed, Readable, "Sealed has no read"),
    (Metres, str, "is no str"),
    (Text, int, "is no int"),
    (list[Text], list[int], "is no int"),
    (Annotated[list[int], "sorted"], list[str], "int is no str"),
    (Final[int], str, "is no str"),
    (TypeGuard[int], str, "is no str"),
    (typing.List[int], typing.List[str], "int is no str"),  # noqa: UP006 - the older spelling is a type of its own
    (typing.Optional[typing.List[int]], list[str], "no member of one"),  # noqa: UP006, UP045
    (type[int], type[str], "int is no str"),
    (Point, list, "is no list"),
    (NDArray[np.float64], NDArray[np.int32], "dtype float64 is no int32"),
    (
        Annotated[np.ndarray, ArraySpec(shape=("batch", 3))],
        Annotated[np.ndarray, ArraySpec(shape=(None, 4))],
        "shape ('batch', 3) is no shape (*, 4)",
    ),
]

FITTING: list[tuple[Any, Any]] = [
    (Box, Box[int]),
    (IntBox, Box[bool]),
    (Swapped[int, str], Pair[str, int]),
    (Swapped, Pair[int, str]),
    (Source[int], Source[bool]),
    (dict[str, int], collections.abc.Iterable[str]),
    (collections.abc.Generator[int, None, None], collections.abc.Iterable[int]),
    (tuple[int, *tuple[str, ...]], tuple[int, str, str]),
    (tuple[Unpack[Ts]], tuple[int, str]),  # noqa: UP044 - the older spelling is a type of its own
    (collections.abc.Callable[P, int], collections.abc.Callable[[str], int]),
    (Row, Row),
    (Row, dict[str, Any]),
    (Row, collections.abc.Mapping[str, object]),
    (Row, dict[str, int]),  # the key that is no int need not be there
    (Open, Readable),  # a subclass may have it
    (Open, Named),
    (Never, int),
    (int, Never),
    (Self, int),
    (Text, str),
    (ForwardRef("Nowhere"), int),
    (typing.List, list[int]),  # noqa: UP006 - the older spelling is a type of its own
    (Point, tuple),
    (Annotated[np.ndarray, ArraySpec("float32")], np.ndarray),
    (Annotated[np.ndarray, ArraySpec(shape=("batch", 3))], Annotated[np.ndarray, ArraySpec(shape=(7, "features"))]),
    (Annotated[np.ndarray, ArraySpec("float32")] | None, Annotated[np.ndarray, ArraySpec(np.floating)]),
]


def _id(value: object) -> str:
    return str(value).replace("typing.", "").replace(f"{__name__}.", "")


@pytest.mark.parametrize(("source", "target", "reason"), REASONS, ids=_id)
def test_the_reason_names_the_parts_that_differ(source: Any, target: Any, reason: str) -> None:
    """G3."""
    found = misfit(source, target)
    assert found is not None
    assert reason in found.replace(f"{__name__}.", "")


@pytest.mark.parametrize(("source", "target"), FITTING, ids=_id)
def test_every_form_of_hint_is_understood_where_some_value_fits(source: Any, target: Any) -> None:
    """G3: a pair is refused only if no value could satisfy both."""
    assert misfit(source, target) is None
    assert misfit(target, source) is None


def test_types_that_lead_back_to_themselves_come_to_an_end() -> None:
    first: Any = TypedDict("first", {"next": "Any"})
    second: Any = TypedDict("second", {"next": "Any"})
    first.__annotations__["next"] = list[first]
    second.__annotations__["next"] = list[second]
    assert fits(first, second)


def test_the_error_at_the_connection_has_the_reason() -> None:
    """G2 and G3."""

    def numbers() -> list[int]:
        return [1]

    def shout(words: list[str]) -> str:
        return " ".join(words)

    graph = GraphDefinition()
    source = graph.add(numbers)
    with pytest.raises(PortTypeError) as caught:
        graph.add(shout, words=source)
    assert str(caught.value).endswith("which takes list[str]: int is no str")
    assert caught.value.reason == "list[int] is no list[str]: int is no str"
    with pytest.raises(PortTypeError) as constant:
        graph.add(shout, words="hello")
    assert constant.value.reason == "expected list, got str ('hello')"


def test_beartype_is_loaded_only_when_generics_are_about_to_be_refused() -> None:
    code = (
        "import sys; from execution_dataflow.type_rules import fits\n"
        "fits(int, str), fits(list[int], list[float]), fits(dict[str, int], dict[str, int])\n"
        "before = 'beartype' in sys.modules; fits(list[int], list[str]); print(before, 'beartype' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "True"], done.stderr


class Reads(Operation):
    row = InputPort("Later")
    rows = InputPort(list["Later"], optional=True)
    text = OutputPort("str")

    def execute(self, context: Any) -> None: ...


class Later: ...


def test_names_as_text_are_looked_up_where_the_port_was_written() -> None:
    """G3: known at once, or when the operation is used."""
    assert OutputPort("str").data_type is str
    assert Reads.text.data_type is str
    graph = GraphDefinition()
    node = graph.add(Reads(), row=Later())
    assert value_check(node.ports.inputs[0][1].data_type) is Later
    with pytest.raises(PortTypeError, match=r"wrong: expected .*Later, got int"):
        graph.add(Reads(), row=3)
    assert misfit(list[int], node.ports.inputs[1][1].data_type) is not None


def test_a_name_that_nobody_knows_takes_anything() -> None:
    assert fits(InputPort("Nowhere").data_type, int)
    assert check_value(InputPort("Nowhere").check, 3) is None


def test_text_that_is_no_type_is_refused() -> None:
    with pytest.raises(PortError, match="is a type or the name of one, not the text 'not a type'"):
        InputPort("not a type")


def test_functions_keep_what_stands_in_annotated() -> None:
    @operation
    def scale(values: Annotated[np.ndarray, ArraySpec("float64", (None, 3))]) -> float:
        return float(values.sum())

    graph = GraphDefinition()
    with pytest.raises(PortTypeError, match="expected an array of dtype float64, got dtype int64"):
        graph.add(scale, values=np.zeros((2, 3), dtype="int64"))
    assert graph.add(scale, values=np.zeros((2, 3))) is not None


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (Row, {"id": 1}, []),
        (LiteralString, "a", 1),
        (Final[int], 1, "1"),
        (TypeGuard[int], True, "1"),
        (Text, "a", 1),
        (Annotated[int, "metres"] | None, None, "1"),
        (ArraySpec("float64"), np.zeros(2), np.zeros(2, dtype=int)),
        (Annotated[np.ndarray, ArraySpec(shape=("n", "n"))], np.zeros((2, 2)), np.zeros((2, 3))),
        (Annotated[np.ndarray, ArraySpec(shape=(2,))] | None, None, np.zeros(3)),
    ],
    ids=_id,
)
def test_values_are_checked_by_what_the_hint_comes_down_to(hint: Any, good: Any, bad: Any) -> None:
    """G3."""
    assert check_value(value_check(hint), good) is None
    assert check_value(value_check(hint), bad) is not None


def test_an_array_port_may_be_none_where_its_type_says_so() -> None:
    check = InputPort(np.ndarray | None, dtype="float64").check
    assert check_value(check, None) is None
    assert check_value(check, np.zeros(2, dtype=int)) is not None

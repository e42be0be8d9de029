"""Random pairs of type hints: only documented errors, and no refusal of a pair that some value fits."""

from __future__ import annotations

import collections.abc
import contextlib
import decimal
import enum
import typing
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Generic,
    Literal,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from execution_dataflow import ArraySpec, DataflowError, GraphDefinition, InputPort, Operation, OutputPort, TableSchema
from execution_dataflow.type_rules import check_value, fits, misfit, value_check

T = TypeVar("T")
Bound = TypeVar("Bound", bound=int)
Chosen = TypeVar("Chosen", int, str)


class Animal: ...


class Dog(Animal): ...


class Puppy(Dog): ...


class Stone: ...


class Pet(Dog, Stone): ...


class Number(int): ...


class Colour(enum.Enum):
    RED = 1


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Row(TypedDict):
    id: int


class Barks(Protocol):
    def bark(self) -> str: ...


class Rude(type):
    """A metaclass that answers no question."""

    def __subclasscheck__(cls, other: object) -> bool:
        raise RuntimeError("no")

    def __instancecheck__(cls, other: object) -> bool:
        raise RuntimeError("no")


class Unfriendly(metaclass=Rude): ...


PLAIN = [
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    type(None),
    list,
    dict,
    tuple,
    set,
    Animal,
    Dog,
    Puppy,
    Stone,
    Pet,
    Number,
]
CONCRETE = st.sampled_from(PLAIN)
LEAVES = st.sampled_from(
    [
        *PLAIN,
        Any,
        object,
        None,
        Colour,
        Row,
        Barks,
        Box,
        IntBox,
        T,
        Bound,
        Chosen,
        NewType("Metres", float),
        "Nowhere",
        "int",
        ForwardRef("Nowhere"),
        decimal.Decimal,
        np.ndarray,
        NDArray[np.float64],
        NDArray[np.floating],
        ArraySpec("float32", ("batch", 3)),
        ArraySpec(shape=(None,)),
        TableSchema({"a": int}),
        TableSchema({"a": "string"}, exact=False),
        typing.List,  # noqa: UP006 - the older spelling is a type of its own
        typing.Hashable,
        typing.Self,
        typing.Never,
        typing.LiteralString,
        collections.abc.Iterable,
        collections.abc.Callable,
        Final,
        typing.Union,
        ...,
        3.5,
        "not a type",
        Unfriendly,
    ]
)


def _literal(values: list[Any]) -> Any:
    return Literal[tuple(values)]


def _made(make: Any) -> Any:
    """Hints that Python itself refuses to make are no matter of ours."""

    def call(arguments: Any) -> Any:
        try:
            return make(arguments)
        except Exception:
            return int

    return call


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs, several = st.tuples(inner, inner), st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(_made(lambda one: list[one])),
        inner.map(_made(lambda one: typing.Sequence[one])),
        inner.map(_made(lambda one: collections.abc.Iterable[one])),
        inner.map(_made(lambda one: type[one])),
        inner.map(_made(lambda one: Box[one])),
        inner.map(_made(lambda one: Optional[one])),  # noqa: UP045 - the older spelling is a type of its own
        inner.map(_made(lambda one: Annotated[one, "metres", ArraySpec("float64")])),
        inner.map(_made(lambda one: tuple[one, ...])),
        inner.map(_made(lambda one: Final[one])),
        pairs.map(_made(lambda two: dict[two[0], two[1]])),
        pairs.map(_made(lambda two: collections.abc.Mapping[two[0], two[1]])),
        pairs.map(_made(lambda two: collections.abc.Callable[[two[0]], two[1]])),
        pairs.map(_made(lambda two: two[0] | two[1])),
        several.map(_made(lambda some: tuple[tuple(some)])),
        several.map(_made(lambda some: Union[tuple(some)])),  # noqa: UP007 - the older spelling
        st.lists(st.sampled_from([1, True, "a", b"a", None, Colour.RED]), min_size=1, max_size=3).map(_literal),
    )


HINTS = st.recursive(LEAVES, _composed, max_leaves=6)
KNOWN = st.recursive(
    CONCRETE | st.sampled_from([Any, object, Colour, Row, Chosen, Bound]),
    lambda inner: st.one_of(
        inner.map(lambda one: list[one]),
        st.tuples(inner, inner).map(lambda two: dict[two[0], two[1]]),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: Union[tuple(some)]),  # noqa: UP007
        st.lists(st.sampled_from([1, True, "a", b"a"]), min_size=1, max_size=3).map(_literal),
    ),
    max_leaves=4,
)

VALUES: list[Any] = [1, True, 1.5, 2j, "a", b"a", None, Animal(), Dog(), Puppy(), Stone(), Pet(), Number(3), Colour.RED]
LIMITS = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LIMITS
@given(HINTS, HINTS)
def test_any_two_hints_are_compared_without_an_error(source: Any, target: Any) -> None:
    reason = misfit(source, target)
    assert (reason is None) == fits(source, target)
    assert reason is None or " is no " in reason
    assert misfit(source, source) is None
    assert misfit(source, Any) is None
    assert misfit(Any, target) is None


@LIMITS
@given(HINTS, HINTS, st.sampled_from(VALUES))
def test_ports_of_any_hints_give_documented_errors_only(source: Any, target: Any, constant: Any) -> None:
    class Gives(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_output_port("out", OutputPort(source))

        def execute(self, context: Any) -> None: ...

    class Takes(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("value", InputPort(target, optional=True))

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    for build in (
        lambda: graph.add(Takes(), value=graph.add(Gives())),
        lambda: None if "Unfriendly" in repr(target) else graph.add(Takes(), value=constant),
        graph.compile,
    ):
        with contextlib.suppress(DataflowError):
            build()


@LIMITS
@given(CONCRETE, CONCRETE)
def test_classes_fit_as_python_says(source: type, target: type) -> None:
    """The oracle: some class is a subclass of both, or it is a number of the tower."""
    related = any(issubclass(kind, source) and issubclass(kind, target) for kind in PLAIN)
    tower = (issubclass(source, int) and target is float) or (issubclass(source, int | float) and target is complex)
    assert fits(source, target) == (related or tower)


@LIMITS
@given(KNOWN, KNOWN)
def test_a_pair_that_some_value_fits_is_never_refused(source: Any, target: Any) -> None:
    """G3: with lists and dicts of such values, whose elements are of the types that are asked for."""
    if misfit(source, target) is None:
        return
    words = repr((source, target))
    for value in VALUES:
        if isinstance(value, int | float) and ("float" in words or "complex" in words):
            continue  # an output that is a float may not be taken for an int, although an int is one of its values
        assert not (_is_of(value, source) and _is_of(value, target)), value


def _is_of(value: Any, hint: Any) -> bool:
    return check_value(value_check(hint), value) is None


@LIMITS
@given(KNOWN, KNOWN, KNOWN)
def test_a_union_fits_where_a_member_does(one: Any, other: Any, target: Any) -> None:
    either: Any = Union[one, other]  # noqa: UP007 - a class may stand in it twice
    assert fits(either, target) == (fits(one, target) or fits(other, target))
    assert fits(target, either) == (fits(target, one) or fits(target, other))

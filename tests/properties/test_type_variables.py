"""Random graphs of generic functions: none is refused in which every value is what its consumer asks for."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, AnyStr, Literal, Optional, TypeVar, Union, get_args, get_origin

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from execution_dataflow import GraphDefinition, GraphValidationError, InputPort, Operation, OutputPort, PortTypeError
from execution_dataflow.functions import OperationFunction
from execution_dataflow.functions import operation as as_operation

T = TypeVar("T")
S = TypeVar("S")
Real = TypeVar("Real", bound=float)


class Gives(Operation):
    def __init__(self, hint: Any) -> None:
        super().__init__()
        self.add_output_port("value", OutputPort(hint))

    def execute(self, context: Any) -> None: ...


class Takes(Operation):
    def __init__(self, hint: Any) -> None:
        super().__init__()
        self.add_input_port("value", InputPort(hint))

    def execute(self, context: Any) -> None: ...


def same(x: T) -> T:
    return x


def first(x: list[T]) -> T:
    return x[0]


def wrap(x: T) -> list[T]:
    return [x]


def pair(x: T, y: S) -> tuple[S, T]:
    return y, x


def left(x: tuple[T, S]) -> T:
    return x[0]


def either(x: T, y: T) -> T:
    return y


def or_else(x: T | None, y: T) -> T:
    return y if x is None else x


def one_or_many(x: list[T] | T) -> list[T]:
    return x if isinstance(x, list) else [x]


def text_or(x: T | str) -> T | str:
    return x


def values(x: Mapping[str, T]) -> Sequence[T]:
    return list(x.values())


def keys(x: Iterable[T]) -> list[T]:
    return list(x)


def larger(x: Real, y: Real) -> Real:
    return x if x > y else y


def doubled(x: AnyStr) -> AnyStr:
    return x + x


def noted(x: Annotated[T, "any"], y: Optional[T] = None) -> dict[str, T]:  # noqa: UP045
    return {"x": x}


FUNCTIONS: list[OperationFunction[..., Any]] = [
    as_operation(function)
    for function in (
        same, first, wrap, pair, left, either, or_else, one_or_many, text_or, values, keys, larger, doubled, noted,
    )
]  # fmt: skip

SOURCES: list[tuple[Any, list[Any]]] = [
    (int, [3, True]),
    (float, [2.5]),
    (str, ["a"]),
    (bytes, [b"a"]),
    (bool, [False]),
    (Any, [1, "a", [2], {"k": b"v"}, (1, "a")]),
    (object, [1, "a", [2]]),
    (int | str, [1, "a"]),
    (int | None, [1, None]),
    (list[int] | str, [[1], "a"]),
    (str | bytes, ["a", b"a"]),
    (Literal["a", 1], ["a", 1]),
    (list[int], [[1]]),
    (list[Any], [[1], ["a"]]),
    (list, [[1], ["a"]]),
    (list[int | str], [[1], ["a"]]),
    (list[list[str]], [[["a"]]]),
    (dict[str, int], [{"a": 1}]),
    (dict[str, list[int]], [{"a": [1]}]),
    (tuple[int, str], [(1, "a")]),
    (tuple[int, ...], [(1, 2)]),
    (collections.abc.Sequence[int], [[1], (1, 2)]),
    (collections.abc.Iterable[str], [["a"], {"a": 1}, "a"]),
    (Annotated[list[int], "note"], [[1]]),
]
TAKEN: list[Any] = [
    *(hint for hint, _ in SOURCES),
    tuple[str, int],
    tuple[Any, list[int]],
    list[list[int]],
    list[bytes],
    dict[str, str],
    dict[str, list[Any]],
    list[tuple[int, str]],
    Sequence[str],
    list[float],
    T,
    list[T],
]


def deeply(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, down to the last item."""
    kind, arguments = get_origin(hint) or hint, get_args(hint)
    if hint is Any:
        return True
    if isinstance(hint, TypeVar):
        allowed = hint.__constraints__ or (Any if hint.__bound__ is None else hint.__bound__,)
        return any(deeply(value, each) for each in allowed)
    if kind is Annotated:
        return deeply(value, arguments[0])
    if kind in (Union, UnionType):
        return any(deeply(value, each) for each in arguments)
    if kind is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if kind is float:
        return isinstance(value, float | int)
    if not isinstance(value, kind):
        return False
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(deeply, value, arguments))
    if issubclass(kind, Mapping) and arguments:
        return all(deeply(key, arguments[0]) and deeply(value[key], arguments[1]) for key in value)
    return not arguments or all(deeply(item, arguments[0]) for item in value)


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[tuple[Any, Any]], list[tuple[Any, list[int]]], Any]:
    """Sources with a type and a value; functions with the numbers of what feeds them; what takes the last value."""
    sources = []
    for _ in range(draw(st.integers(1, 3))):
        hint, possible = draw(st.sampled_from(SOURCES))
        sources.append((hint, draw(st.sampled_from(possible))))
    calls = []
    for number in range(draw(st.integers(1, 3))):
        function = draw(st.sampled_from(FUNCTIONS))
        known = st.integers(0, len(sources) + number - 1)
        calls.append((function, [draw(known) for _ in function.ports.inputs]))
    return sources, calls, draw(st.sampled_from(TAKEN))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
def test_graph_whose_values_fit_is_never_refused(
    program: tuple[list[tuple[Any, Any]], list[tuple[Any, list[int]]], Any],
) -> None:
    sources, calls, taken = program
    graph = GraphDefinition()
    nodes: list[Any] = [graph.add(Gives(hint)) for hint, _ in sources]
    results = [value for _, value in sources]
    fits = True
    for function, feeds in calls:
        names = list(function.ports.input_index)
        given = [results[number] for number in feeds]
        hints = [port.data_type for _, port in function.ports.inputs]
        # What is given has to be what the function asks for, or what it gives says nothing.
        fits = fits and all(deeply(value, hint) for value, hint in zip(given, hints, strict=True))
        try:
            results.append(function(*given) if fits else None)
        except TypeError:
            fits = False
            results.append(None)
        try:
            nodes.append(graph.add(function, **dict(zip(names, (nodes[number] for number in feeds), strict=True))))
        except PortTypeError:
            assert not fits
            return
    fits = fits and deeply(results[-1], taken)
    try:
        graph.add(Takes(taken), value=nodes[-1])
        graph.compile()
    except (PortTypeError, GraphValidationError) as error:
        if fits:
            raise AssertionError(f"{results[-1]!r} is {taken}") from error


def test_the_functions_bind_something() -> None:
    """Else the property would hold of a graph that compares nothing."""
    taken: list[tuple[Callable[..., Any], Any, Any]] = [(first, list[int], str), (wrap, int, list[str])]
    for function, given_hint, taken_hint in taken:
        graph = GraphDefinition()
        graph.add(Takes(taken_hint), value=graph.add(function, x=graph.add(Gives(given_hint))))
        try:
            graph.compile()
        except GraphValidationError:
            continue
        raise AssertionError(function)

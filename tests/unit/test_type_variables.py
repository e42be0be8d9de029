"""Type variables on the ports of an operation stand for what its inputs are connected to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, AnyStr, Generic, Literal, ParamSpec, TypeVar, TypeVarTuple, Union

import pytest

from execution_dataflow import (
    ArraySpec,
    ExecutionEngine,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OutputPort,
    PortTypeError,
    operation,
)
from execution_dataflow.port_types.type_variables import Inference, substituted

T = TypeVar("T")
S = TypeVar("S")
Bounded = TypeVar("Bounded", bound=Sequence)  # type: ignore[type-arg]
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


class Gives(Operation):
    """An operation with one output of a type."""

    def __init__(self, hint: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self.add_output_port("value", OutputPort(hint))

    def execute(self, context: Any) -> None: ...


class Takes(Operation):
    """An operation with one input of a type."""

    def __init__(self, hint: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self.add_input_port("value", InputPort(hint))

    def execute(self, context: Any) -> None: ...


@operation
def first(items: list[T]) -> T:
    return items[0]


@operation
def same(value: T) -> T:
    return value


@operation
def either(one: T, other: T) -> T:
    return one


@operation
def swapped(pair: tuple[T, S]) -> tuple[S, T]:
    return pair[1], pair[0]


@operation
def join(one: AnyStr, other: AnyStr) -> AnyStr:
    return one + other


def faults(graph: GraphDefinition) -> list[Any]:
    try:
        graph.compile()
    except GraphValidationError as error:
        return list(error.faults)
    return []


def through(function: Any, *given: Any, taken: Any) -> list[Any]:
    """Connect operations that give types to a function, and it to one that takes a type."""
    graph = GraphDefinition("through")
    names = [name for name, _ in function.ports.inputs]
    feeds = {name: graph.add(Gives(hint, f"gives_{name}")) for name, hint in zip(names, given, strict=True)}
    graph.add(Takes(taken, "takes"), value=graph.add(function, **feeds))
    return faults(graph)


def test_output_is_of_the_type_that_the_input_is_connected_to() -> None:
    [fault] = through(first, list[int], taken=str)
    assert isinstance(fault, PortTypeError)
    assert str(fault) == (
        "first.result gives int, which can never fit takes.value, which takes str "
        "(T is int here, from 'gives_items.value')"
    )
    assert (fault.source, fault.target, fault.source_type, fault.target_type) == (
        "first.result",
        "takes.value",
        "int",
        "str",
    )
    assert "T is int here, from 'gives_items.value'" in fault.reason
    assert not through(first, list[int], taken=int)


def test_graph_with_such_a_fault_never_starts() -> None:
    graph = GraphDefinition("through")
    graph.add(Takes(str, "takes"), value=graph.add(same, value=3))
    with ExecutionEngine() as engine, pytest.raises(GraphValidationError, match="from the constant for 'value'"):
        engine.run(graph)


def test_types_go_on_through_several_operations() -> None:
    graph = GraphDefinition("chain")
    value: Any = graph.add(Gives(list[int], "numbers"))
    value = graph.add(first, items=value)
    for _ in range(3):
        value = graph.add(same, value=value)
    graph.add(Takes(bytes, "takes"), value=value)
    [fault] = faults(graph)
    assert "same_3.result gives int" in str(fault)
    assert "T is int here, from 'same_2.result'" in str(fault)


def test_parts_of_a_type_that_differ_are_named() -> None:
    [fault] = through(swapped, tuple[int, str], taken=tuple[int, str])
    assert "swapped.result gives tuple[str, int]" in str(fault)
    assert "item 1: str is no int" in str(fault)
    assert "T is int here" in str(fault)
    assert "S is str here" in str(fault)


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        (list[T], list[int], int),
        (Sequence[T], list[int], int),
        (Iterable[T], dict[str, int], str),
        (Mapping[str, T], dict[str, int], int),
        (dict[str, list[T]], dict[str, list[int]], int),
        (tuple[T, ...], tuple[int, str], Union[int, str]),  # noqa: UP007
        (Sequence[T], tuple[int, ...], int),
        (T | None, int | None, int),
        (list[T] | None, list[int], int),
        (list[T] | T, int, int),
        (type[T], type[int], int),
        (Callable[..., T], Callable[[str], int], int),
        (Annotated[T, "note"], Annotated[int, "another"], int),
        (T, Literal["a", "b"], str),
        (T, list[int], list[int]),
        (Bounded, list[int], list[int]),
        (list[T], list[int] | list[str], Union[int, str]),  # noqa: UP007
    ],
)
def test_variable_is_found_in(declared: Any, given: Any, expected: Any) -> None:
    inference = Inference()
    inference.learn(declared, given, "source")
    [(_, binding)] = inference.solution().items()
    assert binding.hint == expected


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        (T, Any),
        (T, object),
        (list[T], list),
        (list[T], list[Any]),
        (Sequence[T], str),
        (list[T], Any),
        (T | str, str),  # the other member takes it
        (list[T] | T, list[int]),  # either may
        (T | S, int),
        (Callable[[T], None], Callable[[int], None]),  # the other way round
        (Callable[P, T], Any),
        (tuple[T, *tuple[S, ...], T], tuple[int, ...]),
        (Bounded, object),
        (Bounded, Iterable),  # the bound says more
        (T | None, None),
    ],
)
def test_variable_is_left_open_by(declared: Any, given: Any) -> None:
    inference = Inference()
    inference.learn(declared, given, "source")
    assert inference.solution() == {}


def test_input_that_leaves_a_variable_open_leaves_it_open_for_all() -> None:
    assert not through(either, int, Any, taken=str)


def test_two_inputs_of_one_variable_are_their_union() -> None:
    assert not through(either, int, str, taken=str)
    [fault] = through(either, int, str, taken=bytes)
    assert "T is int | str here, from 'gives_one.value' and 'gives_other.value'" in str(fault)


def test_constraints_are_one_type_on_all_ports() -> None:
    [fault] = through(join, str, bytes, taken=Any)
    assert "AnyStr is one of bytes, str on all its ports" in str(fault)
    assert "str, from 'gives_one.value', and bytes, from 'gives_other.value'" in str(fault)
    assert not through(join, str | bytes, bytes, taken=bytes)
    [fault] = through(join, str, str, taken=bytes)
    assert "AnyStr is str here" in str(fault)


def test_default_of_a_constrained_variable_conflicts_with_nothing() -> None:
    @operation
    def joined(one: AnyStr, separator: AnyStr = "") -> AnyStr:  # type: ignore[assignment]
        return one

    graph = GraphDefinition()
    graph.add(Takes(bytes), value=graph.add(joined, one=graph.add(Gives(bytes))))
    assert not faults(graph)


def test_type_outside_of_the_bound_is_refused_where_it_is_connected() -> None:
    class Sized(Operation):
        given = InputPort(Bounded)

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    with pytest.raises(PortTypeError):
        graph.add(Sized(), given=graph.add(Gives(int)))


def test_class_attributes_share_a_variable() -> None:
    class Pick(Operation):
        items = InputPort(list[T])
        chosen = OutputPort(T)

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    graph.add(Takes(str), value=graph.add(Pick(), items=graph.add(Gives(list[int]))))
    [fault] = faults(graph)
    assert "T is int here, from 'Gives.value'" in str(fault)


def test_ports_for_many_sources_take_them_all() -> None:
    class Any1(Operation):
        items = InputPort(T, many=True)
        chosen = OutputPort(T)

        def execute(self, context: Any) -> None: ...

    def graph(taken: Any) -> GraphDefinition:
        made = GraphDefinition()
        sources = [made.add(Gives(hint)) for hint in (int, bytes)]
        made.add(Takes(taken), value=made.add(Any1(), items=sources))
        return made

    assert not faults(graph(bytes))
    assert "T is int | bytes here" in str(faults(graph(str))[0])


def test_parameters_of_a_graph_say_their_type() -> None:
    graph = GraphDefinition()
    graph.add(Takes(str), value=graph.add(same, value=graph.parameter("rows", int)))
    [fault] = faults(graph)
    assert "T is int here, from the parameter 'rows'" in str(fault)


def test_override_opens_what_it_stands_for() -> None:
    graph = GraphDefinition()
    source = graph.add(same, value=3)
    graph.add(Takes(str), value=source)
    assert faults(graph)
    graph.compile(overrides=[(source, "result")])


def test_nested_graph_is_followed() -> None:
    inner = GraphDefinition("inner")
    inner.output("out", inner.add(same, value=inner.parameter("given", Any)))
    graph = GraphDefinition()
    nested = graph.add(inner, given=graph.add(Gives(int)))
    graph.add(Takes(str), value=nested)
    [fault] = faults(graph)
    assert "inner/same.result gives int" in str(fault)


def test_map_takes_the_type_of_its_items() -> None:
    graph = GraphDefinition()
    graph.add(Takes(list[str]), value=graph.map(same, over={"value": graph.add(Gives(list[int]))}))
    [fault] = faults(graph)
    assert "same.result gives list[int]" in str(fault)
    graph = GraphDefinition()
    both = graph.map(either, over={"one": graph.add(Gives(Any))}, other=3)
    graph.add(Takes(list[str]), value=both)
    assert not faults(graph)


def test_branches_pass_the_type_on() -> None:
    graph = GraphDefinition()
    kind = graph.switch(graph.add(same, value=3), cases=["small", "large"], by=lambda number: "small")
    graph.add(Takes(str), value=kind["small"])
    [fault] = faults(graph)
    assert "T is int here" in str(fault)


def test_loop_that_swaps_its_values_is_not_followed() -> None:
    @operation(outputs=("one", "other"))
    def swap(one: T, other: S) -> tuple[S, T]:  # type: ignore[type-var]
        return other, one

    graph = GraphDefinition()
    looped = graph.repeat_until(swap, until=lambda one: True, max_iterations=2, one=1, other="a")
    graph.add(Takes(int), value=looped["one"])
    graph.add(Takes(str), value=looped["one"])
    assert not faults(graph)


def test_what_stands_in_for_a_failed_operation_may_be_anything() -> None:
    @operation(on_failure="none")
    def picked(items: list[T]) -> T:
        return items[0]

    assert not through(picked, list[int], taken=str)


def test_metadata_of_what_is_connected_is_not_that_of_the_output() -> None:
    assert not through(
        same,
        Annotated[float, ArraySpec(shape=(3,))],
        taken=Annotated[float, ArraySpec(shape=(4,))],
    )


def test_other_kinds_of_variables_are_anything() -> None:
    @operation
    def call(function: Callable[P, T], items: tuple[*Ts]) -> Callable[P, tuple[*Ts, T]]: ...  # type: ignore[empty-body]

    assert not through(call, Callable[[int], str], tuple[int, str], taken=Callable[[int], Any])
    assert substituted(tuple[*Ts, T], {T: int}) is Any


def test_generic_class_as_a_type() -> None:
    class Box(Generic[T]): ...

    @operation
    def unpack(box: Box[T]) -> T: ...  # type: ignore[empty-body]

    [fault] = through(unpack, Box[int], taken=str)
    assert "T is int here" in str(fault)
    assert not through(unpack, Box, taken=str)


def test_contracts_off_compares_nothing() -> None:
    graph = GraphDefinition(contracts="off")
    graph.add(Takes(str), value=graph.add(same, value=3))
    graph.compile()


def test_many_alike_are_solved_once_each_with_its_own_source() -> None:
    graph = GraphDefinition()
    for number in range(3):
        source = graph.add(Gives(list[int], f"numbers_{number}"))
        graph.add(Takes(str), value=graph.add(first, items=source))
    found = faults(graph)
    assert [f"'numbers_{number}.value'" in str(fault) for number, fault in enumerate(found)] == [True] * 3


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is new in 3.12")
@pytest.mark.parametrize("postponed", [False, True])
def test_new_syntax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postponed: bool) -> None:
    text = "from __future__ import annotations\n" if postponed else ""
    text += "type Rows[K] = dict[str, list[K]]\n\ndef last[T: int | str](x: Rows[T]) -> T: ...\n"
    name = f"new_syntax_{postponed}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    function = operation(__import__(name).last)
    [fault] = through(function, dict[str, list[int]], taken=str)
    assert "T is int here" in str(fault)
    assert not through(function, dict[str, list[int]], taken=int)

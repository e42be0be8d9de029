"""Annotations that are text know the classes of the function that they stand in."""

from __future__ import annotations

import gc
import pickle
import typing
import weakref
from typing import Any, Literal

import pytest

from execution_dataflow import GraphDefinition, InputPort, Operation, OutputPort, PortError, PortTypeError, operation


class Shadowed: ...


def types_of(function: Any) -> tuple[list[Any], list[Any]]:
    ports = operation(function).ports if not hasattr(function, "ports") else function.ports
    return [port.data_type for _, port in ports.inputs], [port.data_type for _, port in ports.outputs]


def test_class_of_the_defining_function_is_known() -> None:
    class Row: ...

    class Table: ...

    @operation
    def parse(text: str) -> list[Row]: ...  # type: ignore[empty-body]

    @operation
    def store(rows: list[Table] | None) -> None: ...

    assert types_of(parse) == ([str], [list[Row]])
    assert types_of(store)[0] == [list[Table] | None]
    graph = GraphDefinition()
    with pytest.raises(PortTypeError, match=r"Row.*Table"):
        graph.add(store, rows=graph.add(parse, text=""))


def test_function_that_is_added_without_a_decorator_is_read_where_it_is_added() -> None:
    class Row: ...

    def parse() -> Row: ...  # type: ignore[empty-body]

    graph = GraphDefinition()
    assert graph.add(parse).ports.outputs[0][1].data_type is Row
    assert graph.add(operation(parse)).ports.outputs[0][1].data_type is Row


def test_local_class_wins_over_that_of_the_module() -> None:
    class Shadowed: ...

    @operation
    def parse() -> Shadowed: ...  # type: ignore[empty-body]

    assert types_of(parse)[1] == [Shadowed]
    assert types_of(parse)[1] != [globals()["Shadowed"]]


def test_class_two_functions_further_out_is_known_while_that_runs() -> None:
    class Row: ...

    def define() -> Any:
        @operation
        def parse() -> Row: ...  # type: ignore[empty-body]

        return parse

    assert types_of(define())[1] == [Row]


def test_function_of_a_caller_that_does_not_define_it_gives_nothing() -> None:
    def define() -> Any:
        @operation
        def parse(row: Row) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        return parse

    class Other:
        def call(self) -> Any:
            class Row: ...

            return define()

    assert types_of(Other().call())[0] == [Any]


def test_class_that_is_defined_later_may_be_anything() -> None:
    @operation
    def parse(row: Row) -> None: ...

    class Row: ...

    assert types_of(parse)[0] == [Any]


def test_function_in_the_body_of_a_class_knows_its_names() -> None:
    class Steps:
        class Row: ...

        @operation
        def parse(row: Row) -> None: ...  # type: ignore[misc]

    assert types_of(Steps.parse)[0] == [Steps.Row]


def test_names_in_ports_of_a_local_class_are_known() -> None:
    class Row: ...

    class Parse(Operation):
        rows = InputPort("list[Row]")
        first = OutputPort("Row")

        def execute(self, context: Any) -> None: ...

    ports = Parse().ports
    assert ports.inputs[0][1].data_type == list[Row]
    assert ports.outputs[0][1].data_type is Row


def test_values_of_the_defining_function_are_not_kept() -> None:
    class Held: ...

    def define() -> tuple[Any, weakref.ref[Held]]:
        held = Held()

        @operation
        def parse(row: Held) -> None: ...

        reference = weakref.ref(held)
        del held
        gc.collect()
        return parse, reference

    parse, reference = define()
    assert reference() is None
    assert types_of(parse)[0] == [Held]


def test_frame_keeps_nothing_that_it_has_let_go() -> None:
    class Big: ...

    big = Big()
    reference = weakref.ref(big)

    @operation
    def parse(big: Big) -> None: ...

    del big
    assert types_of(parse)[0] == [Big]
    assert reference() is None


def module_level(row: Shadowed) -> None: ...


def test_function_of_a_module_is_read_as_ever() -> None:
    function = operation(module_level)
    assert function._local_names == {}
    assert types_of(function)[0] == [Shadowed]
    assert pickle.loads(pickle.dumps(module_level)) is module_level


class Parameter:
    """Named as a class of the package."""


def test_text_that_the_package_passes_on_to_a_port_means_what_its_giver_knows() -> None:
    class Row: ...

    graph = GraphDefinition()
    assert graph.parameter("a", "Shadowed").data_type is Shadowed
    assert graph.parameter("b", "Parameter").data_type is Parameter
    assert graph.parameter("c", "list[Row]").data_type == list[Row]


@pytest.mark.parametrize(
    "text", ["exit()", "list['exit()']", "[Shadowed for _ in ()]", "Shadowed if 1 else int", "1 + 1"]
)
def test_text_that_would_run_something_is_refused(text: str) -> None:
    with pytest.raises(PortError, match="names a type, and runs nothing"):
        InputPort(text)
    with pytest.raises(PortError, match="names a type, and runs nothing"):
        OutputPort(list[text])  # type: ignore[valid-type]


def test_texts_that_are_no_types_are_not_looked_at() -> None:
    assert InputPort("Literal['exit()'] | None").data_type == Literal["exit()"] | None
    annotated = InputPort("typing.Annotated[Shadowed, 'exit()']").data_type
    assert typing.get_args(annotated) == (Shadowed, "exit()")

"""How operations and ports come into being, and how small they are (rule G1)."""

from __future__ import annotations

import gc
import inspect
import pickle
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from execution_dataflow.functions import operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort


class Declared(Operation):
    x = InputPort(int, default=1)
    y = OutputPort(int)

    def execute(self, context: Any) -> None: ...


class InInit(Operation):
    def __init__(self) -> None:
        super().__init__()
        self.add_input_port("x", InputPort(data_type=int, optional=True))
        self.add_output_port("y", OutputPort(data_type=int))

    def execute(self, context: Any) -> None: ...


@operation
def double(x: int = 0) -> int:
    return 2 * x


def bytes_each(make: Callable[[int], list[Any]]) -> float:
    make(100)  # the first instances of a class shape its layout
    # The least of several: what other threads allocate meanwhile counts too.
    return min(_bytes_each(make, 5_000) for _ in range(3))


def _bytes_each(make: Callable[[int], list[Any]], count: int) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        made = make(count)
        return tracemalloc.get_traced_memory()[0] / count - len(made) * 8 / count
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [Declared, InInit])
def test_instances_keep_the_compact_layout(kind: type[Operation]) -> None:
    """At most 100 bytes, where an instance with a dict of its own takes several hundred."""
    assert bytes_each(lambda count: [kind() for _ in range(count)]) < 100


def test_operations_of_functions_keep_the_compact_layout() -> None:
    """At most 150 bytes, when every option has been given to some function of the process.

    The instances of a class share the layout of their attributes, so that each attribute that any of them was given
    takes a pointer in all that are made later; without options it is 89 bytes.
    """

    def added(count: int) -> list[Any]:
        graph = GraphDefinition()
        return [graph.add(double) for _ in range(count)]

    def added_at_once(count: int) -> list[Any]:
        return list(GraphDefinition().add_many(double, count))

    every_option: Any = {"name": "twice", "retry_policy": RetryPolicy(), "executor": "thread", "priority": 1}
    double.new(**every_option, description="doubles", timeout_seconds=1)
    assert bytes_each(added) < 150
    assert bytes_each(added_at_once) < 150


def test_being_part_of_a_graph_adds_nothing_to_an_instance() -> None:
    one = Declared()
    before = set(vars(one))
    GraphDefinition().add_operation(one)
    assert set(vars(one)) == before == {"_ports"}


class Mixin:
    """Comes before Operation among the bases."""

    unit = "m"


class Mixed(Mixin, Declared):
    def __init__(self, path: str, *, limit: int = 0) -> None:
        super().__init__()
        self.path = path


class Again(Mixed):
    def __new__(cls, *args: Any, **kwargs: Any) -> Again:
        return super().__new__(cls, *args, **kwargs)


class Own(Declared):
    def __new__(cls, path: str = "") -> Own:
        return super().__new__(cls, path)

    def __init__(self, path: str = "") -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Mixed("a", limit=3), "Mixed('a', limit=3)"),
        (Again("a", limit=3), "Again('a', limit=3)"),
        (Own("a"), "Own('a')"),
    ],
)
def test_arguments_are_kept_whatever_makes_the_instance(made: Operation, text: str) -> None:
    assert repr(made) == text
    assert repr(pickle.loads(pickle.dumps(made))) == text


def test_keywords_are_kept_as_they_were_given() -> None:
    class Changing(Declared):
        def __init__(self, **options: Any) -> None:
            options["later"] = 1
            super().__init__()

    assert repr(Changing(first=0)) == "Changing(first=0)"


def test_an_abstract_class_of_operations_has_no_instances() -> None:
    from abc import ABC, abstractmethod

    class Base(Operation, ABC):
        @abstractmethod
        def work(self) -> None: ...

        def execute(self, context: Any) -> None:
            self.work()

    class Concrete(Base):
        def work(self) -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]
    GraphDefinition().add_operation(Concrete())


def test_signatures_show_the_options() -> None:
    assert list(inspect.signature(Operation).parameters) == list(OPTIONS)
    assert list(inspect.signature(InputPort).parameters)[:4] == ["data_type", "default", "optional", "many"]
    assert list(inspect.signature(OutputPort).parameters)[:2] == ["data_type", "optional"]
    with pytest.raises(TypeError, match=r"InputPort\.__init__\(\) got an unexpected keyword argument 'defualt'"):
        InputPort(int, defualt=3)  # type: ignore[call-overload]


# Ports of built-in types


def test_ports_of_a_builtin_type_are_one_object() -> None:
    assert InputPort(int) is InputPort(data_type=int)
    assert OutputPort(int) is OutputPort(int)
    assert InputPort(int) == InputPort[int](int)
    assert InputPort(int) is not InputPort(str)
    assert InputPort(int, description="d") is not InputPort(int, description="d")
    assert type(OutputPort(int)) is OutputPort
    assert type(InputPort()) is InputPort


def test_ports_that_share_an_object_have_names_of_their_own() -> None:
    class One(Operation):
        left = InputPort(int)
        right = InputPort(int)

    class Two(Operation):
        other = InputPort(int)

    assert (One.left.name, One.right.name, Two.other.name, InputPort(int).name) == ("left", "right", "other", "")


def test_a_class_that_a_port_names_can_go() -> None:
    class Value: ...

    watch = weakref.ref(Value)
    InputPort(Value), OutputPort(data_type=Value)
    del Value
    gc.collect()
    assert watch() is None


def test_a_subclass_of_a_port_is_made_as_it_likes() -> None:
    class Positive(InputPort[int]):
        def __init__(self, data_type: type = int) -> None:
            super().__init__(data_type, description="positive")

    assert (type(Positive(int)), Positive(int).description) == (Positive, "positive")


@pytest.mark.parametrize("given", [((), {"data_typ": int}), ((int, 3), {}), ((int,), {"data_type": int})])
def test_wrong_arguments_of_a_port_are_refused(given: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
    with pytest.raises(TypeError, match=r"InputPort\.__init__\(\)"):
        InputPort(*given[0], **given[1])

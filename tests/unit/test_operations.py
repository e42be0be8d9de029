"""Operations: ports, options, kept arguments (rule G1) and use by several graphs (rule G4)."""

from __future__ import annotations

import copy
import pickle
import sys
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest

from execution_dataflow.errors import GraphError, OutsideRunError, PortError, UnknownPortError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort

T = TypeVar("T")


class Load(Operation):
    def __init__(self, source_path: str, *, limit: int | None = None) -> None:
        super().__init__()
        self.source_path = source_path
        self.add_output_port("loaded_data", OutputPort(data_type=bytes))

    def execute(self, context: Any) -> None: ...


class Clean(Operation):
    raw = InputPort(bytes)
    clean = OutputPort(str)

    def execute(self, context: Any) -> None: ...


class Strict(Clean):
    limit = InputPort(int, default=10)
    rejected = OutputPort(list)


class Plain(Operation):
    def execute(self, context: Any) -> None: ...


class Opened(Plain):
    """Its ports are added by the tests."""


def test_ports_are_declared_in_init_or_as_class_attributes() -> None:
    """G1."""
    assert repr(Load("a").ports) == "<ports of Load: () -> (loaded_data: bytes)>"
    assert repr(Clean().ports) == "<ports of Clean: (raw: bytes) -> (clean: str)>"


def test_class_level_ports_are_inherited_in_order() -> None:
    """G1: those of the base come first."""
    assert list(Strict().ports.input_index) == ["raw", "limit"]
    assert list(Strict().ports.output_index) == ["clean", "rejected"]


def test_a_subclass_may_replace_or_remove_a_port() -> None:
    class Relaxed(Strict):
        raw = InputPort(str)
        rejected = None  # type: ignore[assignment]

    assert repr(Relaxed().ports) == "<ports of Relaxed: (raw: str, limit: int) -> (clean: str)>"


def test_ports_come_from_mixins_too() -> None:
    class Limited:
        limit = InputPort(int)

    class Op(Limited, Clean): ...

    assert set(Op().ports.input_index) == {"limit", "raw"}


def test_one_port_object_may_be_given_to_several_attributes() -> None:
    number = InputPort(int)

    class Pair(Plain):
        left = number
        right = number

    assert (Pair.left.name, Pair.right.name) == ("left", "right")


def test_both_ways_of_declaring_ports_can_be_mixed() -> None:
    """G1."""

    class Both(Clean):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("extra", int)

    assert list(Both().ports.input_index) == ["raw", "extra"]


def test_a_million_instances_share_one_signature() -> None:
    """G1."""
    assert Load("a").ports is Load("b").ports
    assert Clean().ports is Clean().ports


def test_a_type_stands_for_a_port_of_that_type() -> None:
    operation = Opened()
    operation.add_input_port("a", bytes)
    operation.add_input_port("b")
    operation.add_output_port("c", str)
    assert repr(operation.ports) == "<ports of Opened: (a: bytes, b: Any) -> (c: str)>"


@pytest.mark.parametrize("name", ["name", "ports", "execute", "get_input", "output", "retry_policy", "add_input_port"])
def test_a_class_level_port_may_not_hide_an_attribute_of_operation(name: str) -> None:
    """G1: refused at class creation."""
    with pytest.raises(PortError, match=rf"Bad cannot have a port '{name}'.*hide Operation\.{name}") as caught:
        type("Bad", (Operation,), {name: InputPort(int)})
    assert (caught.value.operation, caught.value.port) == ("Bad", name)


def test_a_port_declared_in_init_hides_nothing() -> None:
    operation = Opened()
    operation.add_input_port("name", str)
    assert operation.name is None
    assert "name" in operation.ports.input_index


@pytest.mark.parametrize("name", ["loaded data", "1st", "", "a.b", 3])
def test_the_name_of_a_port_is_an_identifier(name: Any) -> None:
    """G1."""
    with pytest.raises(PortError, match="identifier"):
        Opened().add_input_port(name, InputPort(int))


def test_a_port_named_twice_is_refused() -> None:
    """G1."""
    operation = Clean()
    with pytest.raises(PortError, match="Clean has an input port 'raw' already"):
        operation.add_input_port("raw", InputPort(int))
    with pytest.raises(PortError, match="Clean has an output port 'clean' already"):
        operation.add_output_port("clean", OutputPort(int))


def test_an_input_and_an_output_may_share_a_name() -> None:
    operation = Opened()
    operation.add_input_port("rows", list)
    operation.add_output_port("rows", list)
    assert list(operation.ports.input_index) == list(operation.ports.output_index) == ["rows"]


def test_ports_of_the_other_direction_are_refused() -> None:
    with pytest.raises(PortError, match=r"add_input_port\('a', \.\.\.\) takes an InputPort, not OutputPort\(int\)"):
        Opened().add_input_port("a", OutputPort(int))
    with pytest.raises(PortError, match="takes an OutputPort"):
        Opened().add_output_port("a", InputPort(int))


def test_ports_are_frozen_when_the_operation_is_added() -> None:
    """G1."""
    operation = GraphDefinition().add_operation(Clean())
    with pytest.raises(PortError, match="part of a graph already"):
        operation.add_input_port("late", InputPort(int))
    with pytest.raises(PortError, match="part of a graph already"):
        operation.add_output_port("late", OutputPort(int))


def test_freezing_one_operation_leaves_others_of_its_class_open() -> None:
    """G1."""
    GraphDefinition().add_operation(Clean())
    other = Clean()
    other.add_input_port("late", InputPort(int))
    assert "late" in other.ports.input_index


def test_an_operation_may_be_part_of_several_graphs() -> None:
    """G4."""
    operation = Clean()
    graphs = [GraphDefinition(), GraphDefinition()]
    for graph in graphs:
        graph.add_operation(operation)
        assert operation in graph


def test_a_forgotten_super_init_is_told_by_name() -> None:
    """G1: by the first port, and by the graph."""

    class Forgetful(Operation):
        def __init__(self, path: str) -> None:
            self.path = path

        def execute(self, context: Any) -> None: ...

    for use in (
        lambda: GraphDefinition().add_operation(Forgetful("a")),
        lambda: GraphDefinition().add(Forgetful("a")),
        lambda: Forgetful("a").add_input_port("a", InputPort(int)),
        lambda: Forgetful("a").ports,
        lambda: Forgetful("a").output("a"),
    ):
        with pytest.raises(GraphError, match=r"Forgetful.*super\(\)\.__init__\(\)"):
            use()


def test_a_dataclass_can_be_an_operation() -> None:
    @dataclass
    class Scale(Operation):
        factor: int

        def __post_init__(self) -> None:
            super().__init__()
            self.add_input_port("x", int)

        def execute(self, context: Any) -> None: ...

    graph = GraphDefinition()
    graph.add(Scale(2), x=1)
    graph.add(Scale(2), x=1)  # equal and unhashable, and still two nodes
    assert graph.compile().names == ("Scale", "Scale_2")


def test_a_generic_class_can_be_an_operation() -> None:
    class Pass(Operation, Generic[T]):
        value = InputPort(Any)

        def execute(self, context: Any) -> None: ...

    assert list(Pass[int]().ports.input_index) == ["value"]


def test_options_are_fields_only_when_given() -> None:
    policy = RetryPolicy()
    plain, rich = Plain(), Plain(name="a", retry_policy=policy, executor="thread", priority=3, description="d")
    assert (plain.name, plain.retry_policy, plain.executor, plain.priority) == (None, None, None, 0)
    assert (rich.name, rich.retry_policy, rich.executor, rich.priority) == ("a", policy, "thread", 3)
    assert rich.description == "d"
    assert set(vars(plain)) == {"_ports"}


def test_options_may_be_class_attributes() -> None:
    class Patient(Plain):
        retry_policy = RetryPolicy(max_attempts=5)
        priority = 2

    assert Patient().retry_policy == RetryPolicy(max_attempts=5)
    assert Patient(priority=7).priority == 7


def test_an_unknown_option_is_named_with_the_nearest_one() -> None:
    with pytest.raises(TypeError, match=r"Plain: .*no option 'retry_polcy'; did you mean 'retry_policy'\?"):
        Plain(retry_polcy=RetryPolicy())  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"retry_policy": 3}, TypeError, r"Plain\(retry_policy=\) must be a RetryPolicy, not 3"),
        ({"priority": "high"}, TypeError, r"priority=\) must be an int"),
        ({"name": 3}, TypeError, r"name=\) must be a str"),
        ({"name": ""}, GraphError, "must not be empty"),
        ({"executor": "gpu"}, GraphError, "must be 'thread', 'process', 'async' or 'inline', not 'gpu'"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        Plain(**options)


def test_bad_options_are_refused_at_class_creation_too() -> None:
    with pytest.raises(GraphError, match=r"Bad.*'gpu'"):
        type("Bad", (Plain,), {"executor": "gpu"})


def test_constructor_arguments_are_kept_for_the_repr() -> None:
    """G1."""
    assert repr(Load("s3://bucket", limit=3)) == "Load('s3://bucket', limit=3)"
    assert repr(Plain()) == "Plain()"
    assert len(repr(Load("x" * 10_000))) < 100


def test_an_argument_whose_repr_raises_does_not_break_the_repr() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert repr(Load(Rude())).startswith("Load(")  # type: ignore[arg-type]


def test_any_constructor_arguments_are_accepted() -> None:
    """G1: base constructors accept what subclasses pass."""

    class Odd(Plain):
        def __init__(self, *paths: str, name_of_things: str = "", **rest: int) -> None:
            super().__init__()
            self.seen = paths, name_of_things, rest

    assert Odd("a", "b", name_of_things="c", d=1).seen == (("a", "b"), "c", {"d": 1})


def test_operations_can_be_pickled_and_copied() -> None:
    """G1."""
    for original in (Load("a", limit=3), Strict(name="strict", priority=2)):
        for twin in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original), copy.copy(original)):
            assert type(twin) is type(original)
            assert repr(twin) == repr(original)
            assert repr(twin.ports) == repr(original.ports)
            assert (twin.name, twin.priority) == (original.name, original.priority)


def test_a_copy_of_an_added_operation_is_open_again() -> None:
    """G1: a copy is in no graph."""
    operation = GraphDefinition().add_operation(Clean())
    twin = pickle.loads(pickle.dumps(operation))
    twin.add_input_port("late", InputPort(int))
    GraphDefinition().add(twin, raw=b"", late=1)


def test_an_operation_that_does_nothing_is_refused_by_the_graph() -> None:
    class Idle(Operation): ...

    with pytest.raises(GraphError, match=r"Idle must define execute\(self, context\)"):
        GraphDefinition().add_operation(Idle())


def test_one_output_is_asked_for_by_name() -> None:
    operation = Clean()
    assert operation.output("clean") == operation["clean"] == OutputReference(operation, "clean")
    with pytest.raises(UnknownPortError, match="Clean has no output port 'claen'; did you mean 'clean'"):
        operation["claen"]
    with pytest.raises(TypeError):
        iter(operation)  # type: ignore[call-overload]


def test_ports_have_values_only_during_a_run() -> None:
    """R12."""
    with pytest.raises(OutsideRunError):
        Clean().get_input("raw")
    with pytest.raises(OutsideRunError):
        Clean().raw
    with pytest.raises(OutsideRunError):
        Clean().set_output("clean", "")


def test_an_instance_stays_small() -> None:
    """An instance that was given nothing holds one reference and no dictionary of its own."""
    operation = Plain()
    assert sys.getsizeof(operation) <= 72

"""Ports and signatures (rules G1 and G3)."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from execution_dataflow._core import MISSING
from execution_dataflow.errors import PortDirectionError, PortError
from execution_dataflow.operations import Operation
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.signatures import PortSignature, ports_fit


def test_a_port_takes_anything_unless_it_says_more() -> None:
    assert InputPort().data_type is Any
    assert OutputPort().data_type is Any


@pytest.mark.parametrize(
    ("port", "flags"),
    [
        (InputPort(int), 0),
        (InputPort(int, optional=True), 1),
        (InputPort(int, default=3), 1),
        (InputPort(int, default=None), 1),
        (InputPort(int, many=True), 2),
        (InputPort(int, many=True, optional=True), 3),
        (InputPort(np.ndarray, mutable=True), 4),
        (OutputPort(int), 0),
        (OutputPort(int, optional=True), 1),
    ],
)
def test_flags_are_those_of_the_native_core(port: InputPort[Any] | OutputPort[Any], flags: int) -> None:
    """G5 and D2: optional, many and mutable."""
    assert port.flags == flags


def test_an_optional_port_without_a_default_gives_none() -> None:
    assert InputPort(int).default is MISSING
    assert InputPort(int, optional=True).default is None
    assert InputPort(int, default=3).default == 3
    assert InputPort(int, many=True, optional=True).default == ()


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (InputPort(), "InputPort()"),
        (InputPort(bytes), "InputPort(bytes)"),
        (InputPort(int, default=3), "InputPort(int, default=3)"),
        (InputPort(int | None, optional=True), "InputPort(int | None, optional=True)"),
        (InputPort(int, many=True), "InputPort(int, many=True)"),
        (
            InputPort(np.ndarray, dtype="float64", shape=(None, 3)),
            "InputPort(numpy.ndarray, dtype=float64, shape=(*, 3))",
        ),
        (OutputPort(str, optional=True, description="it"), "OutputPort(str, optional=True, description='it')"),
    ],
)
def test_the_repr_shows_what_was_said(port: object, text: str) -> None:
    assert repr(port) == text


def test_ports_are_equal_by_value() -> None:
    assert InputPort(bytes) == InputPort(data_type=bytes)
    assert hash(InputPort(bytes)) == hash(InputPort(bytes))
    assert InputPort(bytes) != InputPort(str)
    assert InputPort(bytes) != OutputPort(bytes)
    assert InputPort(int, default=1) == InputPort(int, default=1)
    assert InputPort(int, default=1) != InputPort(int, default=True)
    assert InputPort(np.ndarray, default=np.zeros(2)) == InputPort(np.ndarray, default=np.zeros(2))


@pytest.mark.parametrize("name", ["data_type", "default", "optional", "many", "mutable", "dtype", "shape", "name"])
def test_ports_do_not_change(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(InputPort(bytes), name, 1)


@pytest.mark.parametrize(
    "port", [InputPort(bytes), InputPort(int, default=3), InputPort(int, optional=True), OutputPort(str)]
)
def test_ports_can_be_pickled_and_copied(port: object) -> None:
    assert pickle.loads(pickle.dumps(port)) == port
    assert copy.deepcopy(port) == port


@pytest.mark.parametrize("kind", [InputPort, OutputPort])
@pytest.mark.parametrize("wrong", [3, [int], (int, str), {}, InputPort(int)])
def test_a_value_where_a_type_belongs_is_refused(kind: Any, wrong: object) -> None:
    with pytest.raises(PortError, match="data_type"):
        kind(wrong)


def test_a_many_port_takes_no_default() -> None:
    with pytest.raises(PortError, match="empty list"):
        InputPort(int, many=True, default=[])


@pytest.mark.parametrize("shape", ["3", (3, "a name"), (-1,), 2.5, (True,)])
def test_a_shape_is_a_tuple_of_lengths(shape: Any) -> None:
    with pytest.raises(PortError, match="shape"):
        InputPort(np.ndarray, shape=shape)


class Clean(Operation):
    raw = InputPort(bytes)
    clean = OutputPort(str)

    def execute(self, context: Any) -> None: ...


def test_class_level_ports_know_their_name() -> None:
    """G1."""
    assert (Clean.raw.name, Clean.clean.name) == ("raw", "clean")


def test_an_input_port_cannot_be_assigned() -> None:
    """G1."""
    with pytest.raises(PortDirectionError, match=r"Clean\.raw is an input port"):
        Clean().raw = b""  # type: ignore[misc]


def test_an_output_port_cannot_be_read() -> None:
    """G1."""
    operation = Clean()
    with pytest.raises(PortDirectionError, match=r"Clean\.clean is an output port"):
        operation.clean
    assert not hasattr(operation, "clean")


def test_reading_and_assigning_ports_is_get_input_and_set_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """G1."""
    seen: list[Any] = []
    monkeypatch.setattr(Clean, "get_input", lambda self, name: seen.append(name) or b"x", raising=False)
    monkeypatch.setattr(Clean, "set_output", lambda self, name, value: seen.append((name, value)), raising=False)
    operation = Clean()
    assert operation.raw == b"x"
    operation.clean = "x"
    assert seen == ["raw", ("clean", "x")]


def test_signatures_with_the_same_ports_are_one_object() -> None:
    """G1: a million instances share one."""
    root = PortSignature("Op")
    one = root.with_input("a", InputPort(int, default=None)).with_output("b", OutputPort(str))
    two = root.with_input("a", InputPort(int, default=None)).with_output("b", OutputPort(str))
    assert one is two
    assert root.with_input("a", InputPort(str)) is not root.with_input("a", InputPort(int))


def test_defaults_that_are_equal_but_not_the_same_are_kept_apart() -> None:
    """G1: 1 == True == 1.0."""
    root = PortSignature("Op")
    defaults = [1, True, 1.0]
    found = [root.with_input("a", InputPort(default=default)).input_defaults[0] for default in defaults]
    assert [type(default) for default in found] == [int, bool, float]


def test_ports_that_differ_for_every_instance_do_not_pile_up() -> None:
    root = PortSignature("Op")
    for number in range(10_000):
        root.with_input("a", InputPort(default=[number]))
    assert len(root.next_inputs) <= 4096


def test_a_signature_lists_what_the_core_needs() -> None:
    signature = (
        PortSignature("Op")
        .with_input("a", InputPort(float))
        .with_input("b", InputPort(list[int], default=None))
        .with_output("c", OutputPort(optional=True))
    )
    assert signature.input_index == {"a": 0, "b": 1}
    assert signature.output_index == {"c": 0}
    assert (signature.input_flags, signature.output_flags) == (b"\0\1", b"\1")
    assert signature.input_checks == ((float, int), (list, type(None)))
    assert signature.output_checks == (None,)
    assert signature.input_defaults == (MISSING, None)
    assert repr(signature) == "<ports of Op: (a: float, b: list[int]) -> (c: Any)>"


def test_a_type_hint_that_cannot_be_hashed_is_still_a_port() -> None:
    from typing import Annotated

    signature = PortSignature("Op").with_input("a", InputPort(Annotated[int, []]))
    assert signature.input_checks == (int,)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (OutputPort(np.ndarray, dtype="f8"), InputPort(np.ndarray, dtype="float64"), True),
        (OutputPort(np.ndarray, dtype="f8"), InputPort(np.ndarray, dtype="f4"), False),
        (OutputPort(np.ndarray, dtype=np.float64), InputPort(np.ndarray, dtype=np.floating), True),
        (OutputPort(np.ndarray, dtype="i4"), InputPort(np.ndarray, dtype=np.floating), False),
        (OutputPort(np.ndarray, dtype="f8"), np.ndarray, True),
        (np.ndarray, InputPort(np.ndarray, dtype="f8"), True),
        (np.ndarray[Any, np.dtype[np.int32]], InputPort(np.ndarray, dtype="f8"), False),
        (OutputPort(np.ndarray, shape=(3, None)), InputPort(np.ndarray, shape=(None, 4)), True),
        (OutputPort(np.ndarray, shape=(3, None)), InputPort(np.ndarray, shape=(4, None)), False),
        (OutputPort(np.ndarray, shape=3), InputPort(np.ndarray, shape=(3, 3)), False),
        (list, InputPort(np.ndarray, shape=(3, 3)), False),
    ],
)
def test_dtypes_and_shapes_are_compared_when_ports_are_connected(source: Any, target: Any, expected: bool) -> None:
    """G3."""
    assert ports_fit(source, target) is expected

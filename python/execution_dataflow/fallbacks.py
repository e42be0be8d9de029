"""What stands in for an operation that has failed: values for its outputs, or another operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from execution_dataflow._core import MISSING, NodeSpec
from execution_dataflow.errors import GraphError
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.functions import OperationFunction, operation_of
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation, label_of
from execution_dataflow.ports import InputPort
from execution_dataflow.signatures import PortSignature, describe_type, ports_fit
from execution_dataflow.type_rules import check_value

__all__ = ["Fallback", "FallbackValue", "fallback_of"]

_OPTIONAL = 1
_DEFAULT, _ERROR = -1, -2
_ERROR_INPUT = "error"


class FallbackValue:
    """A value for ``on_failure=`` that would otherwise be taken for something else: ``None``, a callable, an operation.

    Parameters
    ----------
    value : object
        The value of the only output, or a mapping of the names of several outputs to their values.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, operation
    >>> @operation(on_failure=FallbackValue(None))
    ... def temperature(city: str) -> float | None:
    ...     raise OSError(f"no station in {city}")
    >>> graph = GraphDefinition()
    >>> reading = graph.add(temperature, city="Atlantis")
    >>> print(ExecutionEngine().run(graph).get_output(reading))
    None
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"FallbackValue({self.value!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return FallbackValue, (self.value,)


@dataclass(frozen=True, slots=True, eq=False)
class Fallback:
    """What stands in for the operations of one kind, checked.

    Parameters
    ----------
    name : str
        What it is called in events and messages.
    values : tuple, optional
        The values of all outputs, ``_core.MISSING`` for an optional one that stays unset.
    operation : Operation, optional
        What runs instead, with its `spec`.
    inputs : tuple of int
        For each input of that operation the input of the failed one; -1 for its default, -2 for the error.
    fresh : tuple of int
        The outputs that promise a fresh array.
    """

    name: str
    values: tuple[Any, ...] | None = None
    operation: Operation | None = None
    spec: NodeSpec | None = None
    inputs: tuple[int, ...] = ()
    fresh: tuple[int, ...] = ()

    def new_values(self) -> tuple[Any, ...] | None:
        """Return the values for one run: copies of arrays where a fresh one is promised."""
        if self.values is None or not self.fresh:
            return self.values
        copies = ((port, value.copy()) for port in self.fresh if hasattr(value := self.values[port], "copy"))
        given = dict(enumerate(self.values)) | dict(copies)
        return tuple(given.values())


def fallback_of(operation: Operation, spec_of: Callable[[Operation], NodeSpec]) -> Fallback | None:
    """Return what stands in for an operation when it has failed.

    Parameters
    ----------
    operation : Operation
        The operation.
    spec_of : callable
        Returns the spec of an operation, and raises if it cannot run.

    Returns
    -------
    Fallback or None
        ``None`` if nothing does.

    Raises
    ------
    GraphError
        What it was given cannot stand in for it.
    """
    given = operation._settings.on_failure
    if given is None:
        return None
    label = label_of(operation)
    if isinstance(given, FallbackValue):
        return _value(label, operation.ports, given.value)
    if isinstance(given, type):
        raise GraphError(
            f"{label}(on_failure={given.__name__}) is a class: give an operation, such as {given.__name__}(), or "
            f"FallbackValue({given.__name__}) if the class itself is the value"
        )
    if isinstance(given, Operation):
        _check_ends(operation, given)
        return _instead(label, operation.ports, given, spec_of)
    if isinstance(given, OperationFunction):
        return _instead(label, operation.ports, _adapted(given, operation.ports), spec_of)
    if callable(given):
        return _instead(label, operation.ports, _adapted(operation_of(given), operation.ports), spec_of)
    return _value(label, operation.ports, given)


def _value(label: str, ports: PortSignature, value: Any) -> Fallback:
    fresh = tuple(index for index, (_, port) in enumerate(ports.outputs) if port.fresh)
    return Fallback("a value", values=_values(label, ports, value), fresh=fresh)


def _check_ends(operation: Operation, given: Operation) -> None:
    seen, at = [operation], given
    while isinstance(at, Operation):
        if any(at is other for other in seen):
            names = " -> ".join(map(label_of, [*seen, at]))
            raise GraphError(f"the fallbacks of {label_of(operation)} never end: {names}")
        seen.append(at)
        at = at._settings.on_failure


def _adapted(function: OperationFunction[..., Any], ports: PortSignature) -> Operation:
    """The outputs of a function that names none are those of the operation that it stands in for."""
    names = tuple(ports.output_index)
    if function._outputs is not None or not names:
        return function.new()
    return operation_of(function, names[0] if len(names) == 1 else names).new()


def _values(label: str, ports: PortSignature, value: Any) -> tuple[Any, ...]:
    names = tuple(ports.output_index)
    if not names:
        raise GraphError(
            f"{label} has no outputs that a value of on_failure= could stand in for; give an operation or a function, "
            "which runs instead"
        )
    given = {names[0]: value} if len(names) == 1 else value
    if not isinstance(given, Mapping):
        raise GraphError(
            f"{label}(on_failure=) must be a mapping of the names of its outputs to their values, since there are "
            f"several: {', '.join(map(repr, names))}; not {type(value).__name__}"
        )
    unknown = [name for name in given if name not in ports.output_index]
    if unknown:
        raise GraphError(
            f"{label}(on_failure=) has a value for {unknown[0]!r}, and {label} has no such output; its outputs: "
            f"{', '.join(map(repr, names))}"
        )
    values = []
    for index, name in enumerate(names):
        if name not in given:
            if not ports.output_flags[index] & _OPTIONAL:
                raise GraphError(f"{label}(on_failure=) has no value for the output {name!r} of {label}")
            values.append(MISSING)
            continue
        fault = check_value(ports.output_checks[index], given[name])
        if fault is not None:
            raise GraphError(f"{label}(on_failure=) cannot stand in for the output {name!r} of {label}: {fault}")
        values.append(given[name])
    return tuple(values)


def _instead(label: str, ports: PortSignature, given: Operation, spec_of: Callable[[Operation], NodeSpec]) -> Fallback:
    name = label_of(given)
    if isinstance(given, MappedOperation):
        raise GraphError(f"{label}(on_failure=) cannot be a map; give an operation that does the same for a list")
    if isinstance(given, RepeatedOperation) or given._settings.dynamic:
        raise GraphError(
            f"{label}(on_failure={name}) cannot be a loop or a dynamic operation; give one that sets the outputs itself"
        )
    executor: str | None = given.executor
    if executor == "process":
        raise GraphError(f"{label}(on_failure={name}) runs in this process: leave out executor='process' of {name}")
    spec = spec_of(given)
    inputs = tuple(_source_of(label, ports, name, given, index) for index in range(len(given.ports.inputs)))
    for index, (output, port) in enumerate(ports.outputs):
        theirs = given.ports.output_index.get(output)
        if theirs is None:
            if port.optional:
                continue
            have = ", ".join(map(repr, given.ports.output_index)) or "none"
            raise GraphError(
                f"{label}(on_failure={name}): {name} has no output {output!r}, which it would have to set for {label}; "
                f"its outputs: {have}. An operation that stands in for another has outputs of the same names"
            )
        if port.fresh and not given.ports.outputs[theirs][1].fresh:
            raise GraphError(
                f"{label}(on_failure={name}): the output {output!r} of {label} promises a fresh array, and that of "
                f"{name} does not; declare it with OutputPort(fresh=True) too"
            )
        if not ports_fit(given.ports.output_types[theirs], ports.output_types[index]):
            raise GraphError(
                f"{label}(on_failure={name}): the output {output!r} of {name} is "
                f"{describe_type(given.ports.output_types[theirs])}, and that of {label} is "
                f"{describe_type(ports.output_types[index])}"
            )
    return Fallback(name, operation=given, spec=spec, inputs=inputs)


def _source_of(label: str, ports: PortSignature, name: str, given: Operation, index: int) -> int:
    """Where an input of the operation that stands in comes from."""
    own_name, own = given.ports.inputs[index]
    source = ports.input_index.get(own_name)
    if source is None:
        if own_name == _ERROR_INPUT:
            return _ERROR
        if own.optional:
            return _DEFAULT
        have = ", ".join(map(repr, ports.input_index)) or "none"
        raise GraphError(
            f"{label}(on_failure={name}): {name} needs an input {own_name!r}, which {label} does not have; its inputs: "
            f"{have}. Beside these, an operation that stands in may have an input 'error', and optional ones"
        )
    theirs: InputPort[Any] = ports.inputs[source][1]
    if theirs.many != own.many:
        many, one = (label, name) if theirs.many else (name, label)
        raise GraphError(
            f"{label}(on_failure={name}): the input {own_name!r} of {many} takes many sources, and that of {one} one"
        )
    if not ports_fit(ports.input_types[source], given.ports.input_types[index]):
        raise GraphError(
            f"{label}(on_failure={name}): the input {own_name!r} of {label} is "
            f"{describe_type(ports.input_types[source])}, and that of {name} is "
            f"{describe_type(given.ports.input_types[index])}"
        )
    return source

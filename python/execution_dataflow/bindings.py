"""What the keywords of ``graph.add`` mean: upstream operations, their outputs, lists of them, and constants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from execution_dataflow.errors import PortError, PortTypeError, UnknownPortError
from execution_dataflow.functions import FunctionOperation, OperationFunction
from execution_dataflow.operations import OPTIONS, Operation, OutputReference, label_of
from execution_dataflow.output_choice import only_output
from execution_dataflow.signatures import PortSignature, describe_type
from execution_dataflow.type_rules import check_value

__all__ = ["Constant", "Source", "exact_inputs", "read_bindings"]

_OPTIONAL, _MANY = 1, 2  # the flags of an input port


class Source(NamedTuple):
    """An output that feeds an input.

    Parameters
    ----------
    operation : Operation
        The upstream operation.
    output : int
        The index of its output.
    input : int
        The index of the input.
    """

    operation: Operation
    output: int
    input: int


class Constant(NamedTuple):
    """A value that an input always has.

    Parameters
    ----------
    value : object
        The value.
    input : int
        The index of the input.
    """

    value: Any
    input: int


Binding: TypeAlias = Source | Constant


def read_bindings(
    operation: Operation,
    inputs: dict[str, Any],
    check: Callable[[Operation, int, Operation, int], None],
    checks_types: bool = True,
) -> list[Binding]:
    """Read the keywords of ``graph.add``.

    Parameters
    ----------
    operation : Operation
        The operation that is to be added.
    inputs : dict of str to object
        What its inputs were given.
    check : callable
        Called with source, output, target and input; raises if these may not be connected.
    checks_types : bool
        Whether constants are compared with the types of their inputs.

    Returns
    -------
    list of Source or Constant
        The sources and constants, in the order of the keywords.

    Raises
    ------
    UnknownPortError, PortError, PortTypeError
        A keyword is no input, or its value does not fit.
    """
    ports = operation.ports.frozen  # in which names of types are looked up that were not known before
    bindings: list[Binding] = []
    for name, given in inputs.items():
        index = ports.input_index.get(name)
        if index is None:
            hint = "Every keyword of graph.add() is a port; options belong to the operation."
            if name in OPTIONS:
                hint = f"{name!r} is an option of the operation: graph.add({_made(operation, name)})."
            raise UnknownPortError(label_of(operation), name, list(ports.input_index), "input", hint)
        for item in _items(operation, name, ports.input_flags[index], given):
            if isinstance(item, Operation):
                output = item.ports.output_index[only_output(item, label_of(item))]
                check(item, output, operation, index)
                bindings.append(Source(item, output, index))
            elif isinstance(item, OutputReference):
                source = item.operation
                output = source.ports.output_index[source.output(item.port_name).port_name]
                check(source, output, operation, index)
                bindings.append(Source(source, output, index))
            else:
                _check_constant(label_of(operation), ports, index, item, checks_types)
                bindings.append(Constant(item, index))
    return bindings


def exact_inputs(operation: Operation, bindings: Sequence[Binding]) -> dict[str, Any]:
    """Return what `read_bindings` found in the form that the native core reads.

    Parameters
    ----------
    operation : Operation
        The operation that is to be added.
    bindings : sequence of Source or Constant
        What its inputs were given.

    Returns
    -------
    dict of str to object
        For each input an `OutputReference` or a constant, or the list of them for a port that takes many.
    """
    ports = operation.ports
    inputs: dict[str, Any] = {}
    for binding in bindings:
        if isinstance(binding, Source):
            item: Any = OutputReference(binding.operation, binding.operation.ports.outputs[binding.output][0])
        else:
            item = binding.value
        name = ports.inputs[binding.input][0]
        if ports.input_flags[binding.input] & _MANY:
            inputs.setdefault(name, []).append(item)
        else:
            inputs[name] = item
    return inputs


def _made(operation: Operation, option: str) -> str:
    """Return the code that makes an operation like this one with an option."""
    if isinstance(operation, FunctionOperation):
        return f"{operation.definition.label}.new({option}=...)"
    return f"{type(operation).__name__}({option}=...)"


def _items(operation: Operation, name: str, flags: int, given: Any) -> Sequence[Any]:
    """Return what an input was given, one by one."""
    if not isinstance(given, (list, tuple)) or isinstance(given, OutputReference):
        return (given,)
    if flags & _MANY:
        return given
    # By their types: a constant may be a list of a million numbers.
    if any(issubclass(kind, Operation | OutputReference) for kind in set(map(type, given))):
        raise PortError(
            f"{label_of(operation)}.{name} takes one source, not a list of operations; declare it with "
            "InputPort(many=True), or as a class of operations that has an input for each",
            operation=label_of(operation),
            port=name,
        )
    return (given,)


def _check_constant(label: str, ports: PortSignature, index: int, value: Any, checks_types: bool) -> None:
    name = ports.inputs[index][0]
    if isinstance(value, OperationFunction) or (isinstance(value, type) and issubclass(value, Operation)):
        made = value.label if isinstance(value, OperationFunction) else f"{value.__name__}()"
        raise PortError(
            f"{label}.{name} was given {value!r} itself; add it to the graph and give what that returns: "
            f"graph.add({made})",
            operation=label,
            port=name,
        )
    wrong = check_value(ports.input_checks[index], value) if checks_types else None
    if wrong is None:
        return
    raise PortTypeError(
        f"the constant for {label}.{name} is wrong: {wrong}",
        source=f"constant {type(value).__name__}",
        target=f"{label}.{name}",
        source_type=type(value).__name__,
        target_type=describe_type(ports.input_types[index]),
        reason=wrong,
    )

"""Operations that run once for each item of their inputs: what ``graph.map`` adds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from types import GenericAlias
from typing import Any, Literal, NoReturn, TypeAlias

from execution_dataflow.errors import GraphError, PortError, UnknownPortError
from execution_dataflow.functions import OperationFunction, operation_of
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.signatures import PortSignature

__all__ = ["MappedOperation", "OnError", "OneShot", "mapped", "zipped_sources"]

OnError: TypeAlias = Literal["fail", "keep"]
"""What a failed item does to the map: fail it, or leave an `ItemFailure` in its place."""

_ON_ERROR = ("fail", "keep")


class MappedOperation(Operation):
    """Runs another operation once for each item of some of its inputs, and gathers the results; made by `mapped`.

    It has the ports of that operation: inputs that are mapped over take a sequence, an array or an iterable, and every
    output is a list with a result for each item, in their order.

    Parameters
    ----------
    item : Operation
        What runs for each item.
    over : str or iterable of str
        The inputs that give one element to each item. The others are the same for all.
    name : str, optional
        Its name; that of the item's operation by default. An item is called ``name[index]``.
    stack : bool
        Whether the results go into one array with a row for each item, instead of into a list.
    max_concurrency : int, optional
        How many items may be under way at a time; as many as there are workers, or coroutines, by default.
    on_error : {"fail", "keep"}
        Whether a failed item fails the map, or leaves an `ItemFailure` in its place.
    priority, description
        As for `Operation`.

    Attributes
    ----------
    item : Operation
        What runs for each item.
    over : tuple of str
        The inputs that are mapped over.
    """

    def __init__(
        self,
        item: Operation,
        *,
        over: str | Iterable[str],
        name: str | None = None,
        stack: bool = False,
        max_concurrency: int | None = None,
        on_error: OnError = "fail",
        priority: int | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(name=name, priority=priority, description=description)
        if not isinstance(item, Operation):
            raise TypeError(f"MappedOperation takes an operation, not {item!r}; mapped() takes functions too")
        _check_options(label_of(item), stack, max_concurrency, on_error)
        self.item = item
        self.over = (over,) if isinstance(over, str) else tuple(over)
        self.stack = stack
        self.max_concurrency = max_concurrency
        self.on_error = on_error
        item._ports = ports = item.ports.frozen
        _check_ports(label_of(item), ports, self.over)
        # A signature of its own: what the native core derives from it holds the item's operation.
        self._ports = PortSignature(
            label_of(self),
            tuple((port, _many_values(given) if port in self.over else given) for port, given in ports.inputs),
            tuple((port, self._gathered(given)) for port, given in ports.outputs),
        )

    def _gathered(self, port: OutputPort[Any]) -> OutputPort[Any]:
        if self.stack:
            import numpy

            return OutputPort(numpy.ndarray)
        hint = port.data_type
        return OutputPort(list if hint is Any or self.on_error == "keep" else GenericAlias(list, (hint,)))

    def execute(self, context: Any) -> NoReturn:
        """Refuse: the engine runs the item's operation for each item, and never this."""
        raise GraphError(f"{label_of(self)} is a map, which an engine runs item by item; there is nothing to call")

    def _implicit_name(self) -> str:
        return label_of(self.item)


def _many_values(port: InputPort[Any]) -> InputPort[Any]:
    return InputPort(Any, description=port.description)


def _check_options(label: str, stack: object, max_concurrency: object, on_error: object) -> None:
    if not isinstance(stack, bool):
        raise TypeError(f"the map of {label}: stack= must be True or False, not {stack!r}")
    if on_error not in _ON_ERROR:
        raise GraphError(f"the map of {label}: on_error= must be {' or '.join(map(repr, _ON_ERROR))}, not {on_error!r}")
    if stack and on_error == "keep":
        raise GraphError(
            f"the map of {label}: an array has no place for an ItemFailure; leave out stack=True or on_error='keep'"
        )
    if max_concurrency is None:
        return
    if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
        raise TypeError(f"the map of {label}: max_concurrency= must be an int, not {max_concurrency!r}")
    if max_concurrency < 1:
        raise GraphError(
            f"the map of {label}: max_concurrency= must be 1 or more, not {max_concurrency}; leave it out for no limit"
        )


def _check_ports(label: str, ports: PortSignature, over: tuple[str, ...]) -> None:
    if not over:
        raise PortError(f"there is nothing to map {label} over: name at least one of its inputs", operation=label)
    for port in over:
        if port not in ports.input_index:
            raise UnknownPortError(label, str(port), list(ports.input_index), "input")
    if len(set(over)) != len(over):
        raise PortError(f"the map of {label} names an input twice: {', '.join(over)}", operation=label)
    for name, given in ports.inputs:
        if given.mutable:
            raise PortError(
                f"{label} cannot be mapped: it writes into its input {name!r}, and items share their inputs; "
                "declare it without mutable=True and copy what execute() changes",
                operation=label,
                port=name,
            )
        if given.many and name in over:
            raise PortError(
                f"{label} cannot be mapped over {name!r}, which takes a list of sources; map over an input that "
                "takes one",
                operation=label,
                port=name,
            )
    for name, output in ports.outputs:
        if output.optional:
            raise PortError(
                f"{label} cannot be mapped: its output {name!r} is optional, and every item needs a result; set it to "
                "None where there is none, and declare it without optional=True",
                operation=label,
                port=name,
            )


def mapped(
    operation: Operation | Callable[..., Any],
    /,
    *,
    over: str | Iterable[str],
    name: str | None = None,
    stack: bool = False,
    max_concurrency: int | None = None,
    on_error: OnError = "fail",
    priority: int | None = None,
    description: str | None = None,
) -> MappedOperation:
    """Return an operation that runs another one for each item: for ``graph.add``, and for maps within maps.

    Parameters
    ----------
    operation : Operation or callable
        What runs for each item; its retry policy is that of each item.
    over : str or iterable of str
        The inputs that give one element to each item.
    name, stack, max_concurrency, on_error, priority, description
        As for `MappedOperation`.

    Returns
    -------
    MappedOperation
        The operation.

    Raises
    ------
    PortError, UnknownPortError, GraphError, TypeError
        It cannot be mapped so; the message says what to do.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition
    >>> def power(base: int, exponent: int) -> int:
    ...     return base**exponent
    >>> graph = GraphDefinition("table")
    >>> table = graph.map(mapped(power, over="exponent"), over={"base": [2, 3]}, exponent=[1, 2, 3])
    >>> ExecutionEngine().run(graph).get_output(table)
    [[2, 4, 8], [3, 9, 27]]
    """
    return MappedOperation(
        operation if isinstance(operation, Operation) else _new_operation(operation),
        over=over,
        name=name,
        stack=stack,
        max_concurrency=max_concurrency,
        on_error=on_error,
        priority=priority,
        description=description,
    )


def _new_operation(function: Callable[..., Any]) -> Operation:
    return function.new() if isinstance(function, OperationFunction) else operation_of(function).new()


def zipped_sources(item: Operation, over: Any, broadcast: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each input is mapped over, from what ``graph.map`` was given.

    Parameters
    ----------
    item : Operation
        What runs for each item.
    over : object
        A source for the one input that it is for, or a dict of them.
    broadcast : mapping of str to object
        The inputs that are the same for all items.

    Returns
    -------
    dict of str to object
        The sources by input.

    Raises
    ------
    PortError, UnknownPortError
        It is not clear, or no source of items.
    """
    label, ports = label_of(item), item.ports
    sources = dict(over) if isinstance(over, dict) else {_only_input(label, ports, broadcast): over}
    _check_ports(label, ports, tuple(sources))
    for port, source in sources.items():
        if port in broadcast:
            raise PortError(
                f"{label}.{port} was given both in over= and as a keyword: an input is mapped over, or it is the same "
                "for all items",
                operation=label,
                port=port,
            )
        if not isinstance(source, Operation | OutputReference):
            sources[port] = _constant_source(label, port, source)
    return sources


def _only_input(label: str, ports: PortSignature, broadcast: Mapping[str, Any]) -> str:
    free = [name for name, _ in ports.inputs if name not in broadcast]
    required = [name for name, port in ports.inputs if name not in broadcast and not port.optional]
    candidates = required or free
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise PortError(f"there is nothing to map {label} over: every input was given as a keyword", operation=label)
    raise PortError(
        f"{label} has several inputs that could be mapped over: {', '.join(candidates)}; say which with "
        f"over={{{candidates[0]!r}: ...}}, and give the others as keywords",
        operation=label,
    )


def _constant_source(label: str, port: str, source: Any) -> Any:
    fault = source_fault(source)
    if fault is not None:
        raise PortError(f"{label} cannot be mapped over {fault}", operation=label, port=port)
    return OneShot(source, label, port) if isinstance(source, Iterator) else source


def source_fault(source: object) -> str | None:
    """Return why a value is no source of items, and what to give instead; ``None`` if it is one."""
    kind = type(source).__name__
    if isinstance(source, str):
        return "a str; give a list of strings, or list(text) for its characters"
    if isinstance(source, bytes | bytearray):
        return f"{kind}; give a list of them, or list(data) for the single numbers"
    if isinstance(source, Mapping):
        return f"a {kind}; give list(mapping.values()), .keys() or .items() (over={{port: source}} names inputs)"
    if getattr(source, "shape", None) == () or (not hasattr(source, "__iter__") and not hasattr(source, "__getitem__")):
        return f"{kind}, which has no items; give a sequence, an array or an iterable"
    return None


class OneShot:
    """An iterator that was given as a constant: one run can use it.

    Parameters
    ----------
    iterator : iterator
        The iterator.
    label, port : str
        The operation and its input, for the message to the second run.
    """

    def __init__(self, iterator: Iterator[Any], label: str, port: str) -> None:
        self._iterator: Iterator[Any] | None = iterator
        self._label = label
        self._port = port
        self._lock = Lock()

    def __iter__(self) -> Iterator[Any]:
        """Return the iterator, once."""
        with self._lock:
            iterator, self._iterator = self._iterator, None
        if iterator is None:
            raise PortError(
                f"{self._label}.{self._port} was given an iterator, which an earlier run has used up; give a list, or "
                "an object whose __iter__ begins anew, to run the graph more than once",
                operation=self._label,
                port=self._port,
            )
        return iterator

"""Every exception the package raises, in one hierarchy.

Errors carry data, the text comes last: ``UnknownPortError.nearest``, ``CycleError.path``. Wherever an error has an
``operation`` it is the operation's name and not the object, so that errors pickle, travel between processes and pin
no data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from execution_dataflow.nearest import nearest_name

__all__ = [
    "ChannelError",
    "ContractError",
    "CycleError",
    "DataflowError",
    "DuplicateNameError",
    "DuplicateOperationError",
    "EngineClosedError",
    "GraphError",
    "GraphValidationError",
    "MissingExtraError",
    "NoValueError",
    "OutputNotSetError",
    "OutsideRunError",
    "PortDirectionError",
    "PortError",
    "PortTypeError",
    "RunCancelled",
    "RunFailed",
    "RunInterrupted",
    "RunLost",
    "SharedValueChangedError",
    "UnconnectedInputError",
    "UnknownOperationError",
    "UnknownPortError",
    "ValueReleasedError",
    "ValueTypeError",
    "nearest_name",
]


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    """Make an exception again from its pickled parts, without calling its ``__init__``."""
    try:
        error = kind.__new__(kind, *args)
    except TypeError:
        # Of a class with two built-in bases, the interpreter may call neither's "safe".
        error = BaseException.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DataflowError(Exception):
    """The base of every error of this package.

    Parameters
    ----------
    message : str
        What is wrong, by name, and what to do next.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    def __str__(self) -> str:
        # KeyError, a base of some of these, would show its argument's repr.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class _PortFault(DataflowError):
    """What the errors that concern one port of one operation have in common."""

    def __init__(self, message: str = "", *, operation: str | None = None, port: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation
        self.port = port


class GraphError(DataflowError):
    """A fault in the definition of an operation or a graph: nothing has run yet."""


class PortError(_PortFault, GraphError, ValueError):
    """A bad declaration of a port: a name taken, shadowing, not an identifier, or a port added too late.

    Attributes
    ----------
    operation : str or None
        The name of the operation or of its class.
    port : str or None
        The name of the port.
    """


class UnknownPortError(PortError, KeyError):
    """An operation has no port of this name.

    Parameters
    ----------
    operation : str
        The name of the operation.
    port : str
        The name that was asked for.
    known : sequence of str
        The names of the ports that it has in that direction.
    direction : {"input", "output"}
        Which ports were searched.
    hint : str
        A further sentence, where the caller knows more.

    Attributes
    ----------
    known : tuple of str
        The names that exist.
    nearest : str or None
        The known name that was most likely meant.

    Examples
    --------
    >>> error = UnknownPortError("Clean", "raw_dta", ["raw_data"], "input")
    >>> error.nearest
    'raw_data'
    >>> print(error)
    Clean has no input port 'raw_dta'; did you mean 'raw_data'? Its input ports: 'raw_data'.
    """

    def __init__(
        self, operation: str = "", port: str = "", known: Sequence[str] = (), direction: str = "input", hint: str = ""
    ) -> None:
        self.known = tuple(known)
        self.nearest = nearest_name(port, self.known)
        self.direction = direction
        suggestion = f"; did you mean {self.nearest!r}?" if self.nearest is not None else "."
        listing = (
            f" Its {direction} ports: {', '.join(map(repr, self.known))}."
            if self.known
            else f" It has no {direction} ports."
        )
        tail = f" {hint}" if hint else ""
        message = f"{operation} has no {direction} port {port!r}{suggestion}{listing}{tail}"
        super().__init__(message, operation=operation, port=port)


class PortDirectionError(PortError, AttributeError):
    """An input port was assigned, or an output port was read."""


class PortTypeError(GraphError, TypeError):
    """Two ports, or a constant and a port, whose types can never fit.

    Attributes
    ----------
    source, target : str
        The ports as ``operation.port``; a constant as ``constant <repr>``.
    source_type, target_type : str
        Their types, as text.
    reason : str
        Why they can never fit, down to the parts of the types that differ.
    """

    def __init__(
        self,
        message: str = "",
        *,
        source: str = "",
        target: str = "",
        source_type: str = "",
        target_type: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.source = source
        self.reason = reason
        self.target = target
        self.source_type = source_type
        self.target_type = target_type


class ChannelError(_PortFault, GraphError, ValueError):
    """A connection that cannot be made: the input already has its source, or an operation would feed itself.

    Attributes
    ----------
    operation, port : str or None
        The input that was to be connected.
    """


class UnknownOperationError(GraphError, KeyError):
    """The operation is not part of this graph.

    Attributes
    ----------
    operation : str or None
        Its name.
    """

    def __init__(self, message: str = "", *, operation: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class DuplicateOperationError(GraphError, ValueError):
    """The same operation was added to one graph twice.

    Attributes
    ----------
    operation : str or None
        Its name.
    """

    def __init__(self, message: str = "", *, operation: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation


class CycleError(GraphError):
    """The graph is not acyclic.

    Attributes
    ----------
    path : list of str
        The ports on a shortest cycle as ``operation.port``; the first is repeated at the end. An order-only dependency
        contributes the operation's name alone.
    places : dict of str to str
        Where its operations were added, by their names: ``"etl.py:12"``.
    """

    def __init__(self, message: str = "", *, path: Sequence[str] = (), places: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.path = list(path)
        self.places = dict(places or {})


class UnconnectedInputError(_PortFault, GraphError):
    """A required input has neither a source nor a constant.

    Attributes
    ----------
    operation, port : str
        The input.
    place : str or None
        Where the operation was added: ``"etl.py:12"``.
    """

    def __init__(
        self, message: str = "", *, operation: str | None = None, port: str | None = None, place: str | None = None
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.place = place


class DuplicateNameError(GraphError):
    """Several operations of one graph were given the same explicit name.

    Attributes
    ----------
    name : str
        The name.
    places : tuple of str
        Where they were added: ``"etl.py:12"``.
    """

    def __init__(self, message: str = "", *, name: str = "", places: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.places = tuple(places)


class GraphValidationError(GraphError):
    """A graph that cannot run, with everything that is wrong with it.

    Parameters
    ----------
    graph : str
        The name of the graph.
    faults : sequence of GraphError
        All the faults.

    Attributes
    ----------
    faults : tuple of GraphError
        All the faults.

    Examples
    --------
    >>> print(GraphValidationError("etl", [GraphError("one thing"), GraphError("another")]))
    etl cannot run, 2 faults:
      1. one thing
      2. another
    """

    def __init__(self, graph: str = "", faults: Sequence[GraphError] = ()) -> None:
        self.graph = graph
        self.faults = tuple(faults)
        count = len(self.faults)
        if count == 1:
            message = f"{graph} cannot run: {self.faults[0]}"
        else:
            lines = "".join(f"\n  {number}. {fault}" for number, fault in enumerate(self.faults, 1))
            message = f"{graph} cannot run, {count} faults:{lines}"
        super().__init__(message)


class ContractError(_PortFault):
    """An operation broke its declaration. Another attempt would too, so it is never retried.

    Attributes
    ----------
    operation, port : str or None
        Where.
    """


class OutputNotSetError(ContractError):
    """An operation succeeded without setting an output that it declares as required."""


class ValueTypeError(ContractError, TypeError):
    """A value is not of the class, dtype or shape that its port declares."""


class OutsideRunError(ContractError, RuntimeError):
    """Something was asked for that exists only while an operation runs."""


class SharedValueChangedError(ContractError):
    """A value that operations share was written to after it was committed; found by ``ExecutionEngine(debug=True)``.

    Attributes
    ----------
    operation : str or None
        The operation that wrote to it, where that is certain.
    port : str or None
        The input at which it was found.
    suspects : tuple of str
        The operations of which one wrote to it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        port: str | None = None,
        suspects: Sequence[str] = (),
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.suspects = tuple(suspects)


class RunFailed(DataflowError):
    """A run in which an operation failed, raised by ``result.raise_if_failed()``; the original exception is its cause.

    Attributes
    ----------
    result : ExecutionResult
        The result of the run.
    operation : str or None
        The name of the operation to blame.
    """

    def __init__(self, message: str = "", *, result: Any = None, operation: str | None = None) -> None:
        super().__init__(message)
        self.result = result
        self.operation = operation


class RunCancelled(RunFailed):
    """A run that was cancelled before it was complete."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C came during ``run()``. The run is cleaned up, and nothing is left running.

    Attributes
    ----------
    result : ExecutionResult
        The result of the run, whose state is CANCELLED.
    """

    def __init__(self, message: str = "", *, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class RunLost(DataflowError):
    """The run belongs to the process that this one was forked from, and cannot be followed here."""


class EngineClosedError(DataflowError, RuntimeError):
    """The engine was closed."""


class ValueReleasedError(_PortFault, LookupError):
    """The value was let go after its last consumer; ``retain=`` keeps it.

    Attributes
    ----------
    operation, port : str or None
        The output.
    """


class NoValueError(_PortFault, LookupError):
    """The operation did not produce the value.

    Attributes
    ----------
    operation, port : str or None
        The output.
    state : object
        The state in which the operation ended.
    """

    def __init__(
        self, message: str = "", *, operation: str | None = None, port: str | None = None, state: object = None
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.state = state


class MissingExtraError(DataflowError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    extra : str
        The extra that brings it.
    purpose : str
        What it is needed for.

    Examples
    --------
    >>> print(MissingExtraError("cli", "the command line"))
    the command line needs the extra 'cli': pip install "execution-dataflow[cli]"
    """

    def __init__(self, extra: str = "", purpose: str = "this feature") -> None:
        super().__init__(f'{purpose} needs the extra {extra!r}: pip install "execution-dataflow[{extra}]"')
        self.extra = extra

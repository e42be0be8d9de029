"""What the native core needs to run an operation, as one object that all alike operations share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import signature
from types import MethodType
from typing import Any

from execution_dataflow._core import MapSpec, NodeSpec
from execution_dataflow.caching.around import cached
from execution_dataflow.checks.checking import PortChecks, checked, port_checks
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.dimensions import dimensions_of
from execution_dataflow.errors import GraphError
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.fallbacks import fallback_of
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.generic_ports import is_generic
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operation_settings import DEFAULT_SETTINGS
from execution_dataflow.operations import Operation, check_options, label_of
from execution_dataflow.parameters import is_coroutine_function

__all__ = ["SpecTable", "check_runnable", "checks_of", "kind_of", "spec_at_level", "spec_of", "spec_that_calls"]

# Options that an operation may be given and that no engine of this version acts on.
# Takes a function, and whether it is a coroutine function, and returns what is called in its place.
_Around = Callable[[Callable[..., Any], bool], Callable[..., Any]]

# Retry policies that are computed for every instance must not pile up with a class for ever.
_MOST_SPECS_OF_A_SIGNATURE = 4096


class SpecTable:
    """The specs of the operations of a graph; a million that are alike share one.

    Attributes
    ----------
    specs : list of NodeSpec
        The different specs.
    faults : list of GraphError
        What keeps operations from running.
    limited : list of (NodeSpec, object)
        Those that ask for something limited, each with what the operations of its kind have in common.
    has_type_variables : bool
        Whether some ports have type variables.
    """

    def __init__(self) -> None:
        self.has_type_variables = False
        self.specs: list[NodeSpec] = []
        self.faults: list[GraphError] = []
        self.limited: list[tuple[NodeSpec, Any]] = []
        self._position_of: dict[Any, int] = {}

    def resolve(self, operation: Operation) -> int:
        """Return the place of the spec of an operation, or -1 if it cannot run.

        Parameters
        ----------
        operation : Operation
            The first of all that have its class, ports and options.

        Returns
        -------
        int
            The index in `specs`; equal options have one spec, however many objects they are.
        """
        function = _function_of(operation)
        settings = operation._settings.key
        key = (operation._ports, type(operation), function, operation.retry_policy, operation.executor, settings)
        position = self._position_of.get(key)
        if position is None:
            try:
                spec = _shared_spec(operation, function)
            except GraphError as fault:
                self.faults.append(fault)
                position = -1
            else:
                position = len(self.specs)
                self.specs.append(spec)
                self.has_type_variables = self.has_type_variables or is_generic(operation)
                self._note_limited(operation, spec)
            self._position_of[key] = position
        return position

    def _note_limited(self, operation: Operation, spec: NodeSpec) -> None:
        while isinstance(operation, MappedOperation):
            item = spec.item
            assert item is not None
            operation, spec = operation.item, item
        if isinstance(operation, RepeatedOperation):
            return  # what its body asks for is known to the plan of an iteration
        settings = operation._settings
        if settings.resources or settings.tags or settings.max_concurrency or settings.rate_limit:
            self.limited.append((spec, kind_of(operation)))


def kind_of(operation: Operation) -> Any:
    """Return what the operations of one kind have in common: their function, or else their class."""
    return operation.definition.function if isinstance(operation, FunctionOperation) else type(operation)


def spec_of(operation: Operation) -> NodeSpec:
    """Return the spec of one operation, which alike operations share.

    Parameters
    ----------
    operation : Operation
        An operation.

    Returns
    -------
    NodeSpec
        What the native core needs to run it.

    Raises
    ------
    GraphError
        It cannot run.
    """
    return _shared_spec(operation, _function_of(operation))


def _function_of(operation: Operation) -> Callable[..., Any]:
    # A method of its class is the same function for all instances; an instance may have an `execute` of its own.
    execute: Any = operation.execute
    if type(execute) is MethodType and execute.__self__ is operation:
        return execute.__func__
    return _await_own_execute if is_coroutine_function(execute) else _call_own_execute


def spec_at_level(operation: Operation, contracts: ContractLevel) -> NodeSpec:
    """Return a spec like that of an operation, by which no more than a level of contracts says is checked.

    Parameters
    ----------
    operation : Operation
        An operation.
    contracts : {"values", "connect", "off"}
        The level.

    Returns
    -------
    NodeSpec
        A new spec, which nobody else shares, but for the level at which all is checked.
    """
    return (
        spec_of(operation) if contracts == "values" else _new_spec(operation, _function_of(operation), None, contracts)
    )


def spec_that_calls(operation: Operation, around: _Around, contracts: ContractLevel = "values") -> NodeSpec:
    """Return a spec like that of an operation, with another function in the place of its own.

    Parameters
    ----------
    operation : Operation
        The operation; of a map, that of its items is replaced.
    around : callable
        Takes the function, and whether it is a coroutine function, and returns what is to be called instead.
    contracts : {"values", "connect", "off"}
        What is checked.

    Returns
    -------
    NodeSpec
        A new spec, which nobody else shares.
    """
    return _new_spec(operation, _function_of(operation), around, contracts)


def _call_own_execute(operation: Operation, context: Any) -> None:
    operation.execute(context)


async def _await_own_execute(operation: Operation, context: Any) -> None:
    await operation.execute(context)


def _shared_spec(operation: Operation, function: Callable[..., Any]) -> NodeSpec:
    if isinstance(operation, MappedOperation):
        return _new_spec(operation, function)  # whose item may have got another retry policy since
    known = operation.ports.derived
    key = (type(operation), function, operation.retry_policy, operation.executor, operation._settings.key)
    spec: NodeSpec | None = known.get(key)
    if spec is None:
        spec = _new_spec(operation, function)
        if len(known) >= _MOST_SPECS_OF_A_SIGNATURE:
            known.clear()
        spec = known.setdefault(key, spec)
    return spec


def _new_spec(
    operation: Operation,
    function: Callable[..., Any],
    around: _Around | None = None,
    contracts: ContractLevel = "values",
) -> NodeSpec:
    check_runnable(operation)
    if operation._never_runs is not None:
        raise GraphError(f"{label_of(operation)} {operation._never_runs}")
    ports, policy, is_checked = operation.ports, operation.retry_policy, contracts == "values"
    kind, label, spread = "method", type(operation).__name__, False
    if isinstance(operation, MappedOperation):
        label = label_of(operation)
    arguments: tuple[int, ...] = ()
    keyword_names: tuple[str, ...] = ()
    if isinstance(operation, FunctionOperation) and function is FunctionOperation.execute:
        definition = operation.definition
        function, label, spread = definition.called, definition.label, definition.spread
        kind, arguments, keyword_names = "function", definition.pattern.arguments, definition.pattern.keyword_names
    is_coroutine, expansion = is_coroutine_function(function), _expansion_of(operation)
    compares = is_checked and not isinstance(operation, MappedOperation)
    checks = checks_of(operation)  # which says what is wrong with them, at every level
    if checks is not None and contracts != "off":
        function = checked(function, is_coroutine, checks)
    if operation._settings.cache is not None:
        function = cached(function, is_coroutine, operation, checks)
    if around is not None and not isinstance(operation, MappedOperation | RepeatedOperation):
        function = around(function, is_coroutine)
    return NodeSpec(
        label=label,
        kind=kind,
        function=function,
        input_names=tuple(ports.input_index),
        input_flags=ports.input_flags,
        input_checks=ports.input_checks if is_checked else (None,) * len(ports.inputs),
        input_defaults=ports.input_defaults,
        output_names=tuple(ports.output_index),
        output_flags=ports.output_flags,
        output_checks=ports.output_checks if is_checked else (None,) * len(ports.outputs),
        arguments=arguments,
        keyword_names=keyword_names,
        spread=spread,
        is_coroutine=is_coroutine,
        executor=operation.executor,
        retry_policy=policy,
        max_attempts=1 if policy is None else policy.max_attempts,
        settings=operation._settings,
        map=_map_spec(operation, around, contracts) if isinstance(operation, MappedOperation) else None,
        fallback=fallback_of(operation, spec_of if is_checked else partial(spec_at_level, contracts=contracts)),
        expands=expansion,
        dimensions=dimensions_of(ports, expansion is not None) if compares else None,
        contracts=contracts,
    )


def checks_of(operation: Operation) -> PortChecks | None:
    """Return the checks of an operation's ports; those of a map are asked for each of its items.

    Parameters
    ----------
    operation : Operation
        The operation.

    Returns
    -------
    PortChecks or None
        ``None`` if it has none.

    Raises
    ------
    PortError
        A check uses a port that is not there.
    """
    if isinstance(operation, MappedOperation | RepeatedOperation):
        return None
    label, ports = type(operation).__name__, operation.ports
    if operation._settings.dynamic and any(port.checks for _, port in ports.outputs):
        raise GraphError(
            f"{label_of(operation)} returns a graph, whose outputs are checked where they are made: give their checks "
            "to the operations in that graph, or to the input that takes them"
        )
    if isinstance(operation, FunctionOperation) and _function_of(operation) is FunctionOperation.execute:
        definition = operation.definition
        return port_checks(definition.label, ports, returns_outputs=True, spread=definition.spread)
    return port_checks(label, ports)


def _expansion_of(operation: Operation) -> str | None:
    if isinstance(operation, RepeatedOperation):
        return "iterations"
    return "graph" if operation._settings.dynamic else None


def _map_spec(operation: MappedOperation, around: _Around | None, contracts: ContractLevel) -> MapSpec:
    item = operation.item
    for option in ("on_failure", "always_run"):
        if getattr(item._settings, option) is not getattr(DEFAULT_SETTINGS, option):
            raise GraphError(
                f"{label_of(item)}({option}=) is not available for the items of a map in this version; catch the "
                "error in the operation, give the map on_error='keep', or set the option on what graph.map returns"
            )
    if around is not None:
        spec = spec_that_calls(item, around, contracts)
    else:
        spec = spec_at_level(item, contracts)
    return MapSpec(
        item=spec,
        operation=item,
        over=[operation.ports.input_index[port] for port in operation.over],
        max_concurrency=operation.max_concurrency,
        stack=operation.stack,
        keep_failures=operation.on_error == "keep",
    )


def _check_takes_context(label: str, execute: Callable[..., Any]) -> None:
    try:
        signature(execute).bind(None)
    except TypeError:
        raise GraphError(
            f"{label}.execute must take the context as its one argument: def execute(self, context)"
        ) from None
    except ValueError:
        pass  # a native callable that does not tell its parameters


def check_runnable(operation: Operation) -> None:
    """Check that an operation does something, and that it can run where it wants to.

    Parameters
    ----------
    operation : Operation
        The operation.

    Raises
    ------
    GraphError, TypeError
        It does not define ``execute``, has an option without meaning, or runs on an executor that is not made for it.
    """
    label = label_of(operation)
    execute = operation.execute
    if getattr(execute, "__func__", None) is Operation.execute:
        raise GraphError(f"{label} does nothing: {type(operation).__name__} must define execute(self, context)")
    if not callable(execute):
        raise GraphError(f"{label}.execute must be a method that takes the context, not {execute!r}")
    _check_takes_context(label, execute)
    settings = operation._settings
    if isinstance(operation, MappedOperation) and settings.timeout_seconds is not None:
        raise GraphError(
            f"{label}(timeout_seconds=) has no meaning for a map: give it to the operation that runs for each item"
        )
    if settings.cache is not None:
        _check_cache(label, operation)
    if settings.dynamic:
        _check_dynamic(label, operation)
    executor = operation.executor
    check_options(label, {"retry_policy": operation.retry_policy, "executor": executor})
    is_coroutine = is_coroutine_function(operation.function if isinstance(operation, FunctionOperation) else execute)
    if executor == "async" and not is_coroutine:
        raise GraphError(f"{label}(executor='async') must be written with async def; without it, use executor='thread'")
    if executor not in (None, "async") and is_coroutine:
        raise GraphError(
            f"{label}(executor={executor!r}) is a coroutine function and runs on the event loop; leave it out"
        )


def _check_cache(label: str, operation: Operation) -> None:
    if isinstance(operation, MappedOperation):
        raise GraphError(
            f"{label}(cache=) has no meaning for a map: give it to the operation that runs for each item, whose "
            "results are kept one by one"
        )
    if isinstance(operation, RepeatedOperation):
        raise GraphError(
            f"{label}(cache=) has no meaning for a loop: give it to the operations in its body, or put the loop into "
            "an operation that runs it"
        )
    if operation._settings.dynamic:
        raise GraphError(
            f"{label}(cache=) has no meaning for an operation that returns a graph: give it to the operations in that "
            "graph"
        )


def _check_dynamic(label: str, operation: Operation) -> None:
    if isinstance(operation, MappedOperation | RepeatedOperation):
        raise GraphError(f"{label}(dynamic=True) has no meaning here: give it to the operation that returns the graph")
    if operation.executor == "process":
        raise GraphError(
            f"{label}(executor='process') is dynamic, and the graph that it returns is wanted in this process: leave "
            "the executor out, and give it to the operations of that graph"
        )

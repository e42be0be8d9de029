"""Functions as operations: the `operation` decorator."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any, Generic, ParamSpec, Self, TypedDict, TypeVar, Unpack, cast, overload

from execution_dataflow._core import OperationBase
from execution_dataflow.active_graphs import OPEN_BLOCKS, active_graph, inputs_by_name
from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.checks.check import Check, checks_of_ports
from execution_dataflow.errors import PortError, UnknownPortError
from execution_dataflow.native_calls import native_call
from execution_dataflow.operations import ExecutorName, Operation, OutputReference, check_options
from execution_dataflow.parameters import (
    CallPattern,
    call_pattern,
    check_names,
    is_coroutine_function,
    local_names,
    name_of,
    output_ports,
    type_hints,
)
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.rate_limits import RateLimit
from execution_dataflow.signatures import PortSignature

__all__ = ["FunctionOperation", "OperationFunction", "Options", "operation"]

P = ParamSpec("P")
R = TypeVar("R")
# Type checkers give coroutine functions a subclass of Coroutine as their result.
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class Options(TypedDict, total=False):
    """The options of an operation; see `Operation`."""

    name: str | None
    retry_policy: RetryPolicy | None
    executor: ExecutorName | None
    priority: int | None
    description: str | None
    timeout_seconds: float | None
    resources: Mapping[str, float] | None
    max_concurrency: int | None
    rate_limit: RateLimit | None
    tags: Iterable[str] | None
    output_bytes: int | None
    on_failure: Any
    always_run: bool | None
    dynamic: bool | None
    version: str | int | None
    cache: bool | CachePolicy | None


class OperationFunction(Generic[P, R_co]):
    """A function that graphs can use as an operation, and that can still be called; made by `operation`.

    Parameters
    ----------
    function : callable
        The function.
    outputs : str or iterable of str, optional
        The name of its one output instead of ``result``, or the names of the items of the tuple that it returns.
    options : dict
        The options of its operations.
    checks : mapping of str to iterable of Check, optional
        What the values of ports are checked for, beside what their annotations say.

    Attributes
    ----------
    function : callable
        The function itself.
    label : str
        What its operations are called by default.
    """

    function: Callable[P, R_co]

    def __init__(
        self,
        function: Callable[P, R_co],
        outputs: str | Iterable[str] | None,
        options: Options | None = None,
        checks: Mapping[str, Iterable[Check]] | None = None,
    ) -> None:
        """Take over the function's name and documentation."""
        functools.update_wrapper(cast(Any, self), function)
        self.function = function
        self._outputs = outputs if outputs is None or isinstance(outputs, str) else tuple(outputs)
        self._options: Options = options or {}
        self._checks = checks_of_ports(name_of(function), checks)
        self.label = self._options.get("name") or name_of(function)
        check_names(function, self._outputs)
        check_options(self.label, dict(self._options))
        # Only options that say something become fields of an instance.
        self._given = {name: value for name, value in self._options.items() if value is not None and name != "name"}
        self._read: tuple[PortSignature, CallPattern] | None = None
        self._reading = Lock()
        # The frames of what defines it are there now, and what they know is gone when annotations are read.
        self._local_names = local_names(function, sys._getframe(1))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function, as if it were not decorated; in the ``with`` block of a graph, add it to the graph."""
        if OPEN_BLOCKS:
            graph = active_graph()
            if graph is not None:
                # A type checker sees what the function returns, and so whether it fits where the operation is given.
                inputs = inputs_by_name(self.label, self.pattern.positional_names, args, kwargs)
                return cast(R_co, graph.add(self, **inputs))
        return self.function(*args, **kwargs)

    @overload
    def new(
        self: OperationFunction[..., Coroutine[Any, Any, T]], **options: Unpack[Options]
    ) -> FunctionOperation[T]: ...
    @overload
    def new(self, **options: Unpack[Options]) -> FunctionOperation[R_co]: ...
    def new(self, **options: Unpack[Options]) -> FunctionOperation[Any]:
        """Return a new operation that runs the function.

        Parameters
        ----------
        **options
            Options of this operation; they win over those of the decorator.

        Returns
        -------
        FunctionOperation
            The operation.

        Examples
        --------
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> double.new(name="twice").name
        'twice'
        """
        if options.get("dynamic") and not self._options.get("dynamic"):
            return operation_of(self, options={"dynamic": True}).new(**options)
        return FunctionOperation(self, **options)

    @property
    def ports(self) -> PortSignature:
        """Its ports, in the order of its parameters."""
        return self._reading_of_function()[0]

    @property
    def pattern(self) -> CallPattern:
        """How the function is called."""
        return self._reading_of_function()[1]

    @property
    def parts(self) -> tuple[Any, ...]:
        """What it is made of, so that it can be made again."""
        return self.function, self._outputs, self._options, self._checks

    @property
    def has_options(self) -> bool:
        """Whether its operations have options of their own, besides the name that they share."""
        return bool(self._given)

    @property
    def spread(self) -> bool:
        """Whether the function returns a tuple with one item for each output."""
        return isinstance(self._outputs, tuple) and bool(self._outputs)

    @property
    def called(self) -> Callable[..., Any]:
        """What is called with a value for each parameter."""
        return native_call(self.function)

    @property
    def is_coroutine(self) -> bool:
        """Whether it is a coroutine function."""
        return is_coroutine_function(self.function)

    def _reading_of_function(self) -> tuple[PortSignature, CallPattern]:
        # Read late: annotations may name classes that are defined after the function.
        if self._read is None:
            with self._reading:
                if self._read is None:
                    self._read = self._read_function()
        return self._read

    def _read_function(self) -> tuple[PortSignature, CallPattern]:
        hints = type_hints(self.function, self._local_names)
        if self._options.get("dynamic"):
            # What the function returns is a graph, and the outputs are those of that.
            hints = {**hints, "return": Any}
        pattern = call_pattern(self.function, hints)
        signature = PortSignature(self.label)
        left = dict(self._checks)
        for name, port in pattern.inputs:
            signature = signature.with_input(name, port.with_checks(left.pop(name)) if name in left else port)
        named = self._outputs if isinstance(self._outputs, tuple) else None
        for name, output in output_ports(self.function, hints, named):
            name = self._outputs if isinstance(self._outputs, str) else name
            signature = signature.with_output(name, output.with_checks(left.pop(name)) if name in left else output)
        for name in left:
            known = [*signature.input_index, *signature.output_index]
            raise UnknownPortError(self.label, name, known, "input", hint="It is given checks with checks={...}.")
        return signature, pattern

    def __repr__(self) -> str:
        return f"<operation {self.label}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        qualified = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        for part in qualified.split("."):
            found = getattr(found, part, None)
        if found is self:
            return cast(str, qualified)
        return OperationFunction, self.parts


class FunctionOperation(Operation, Generic[R_co]):
    """An operation that calls a function with its inputs; made by `OperationFunction.new` and by ``graph.add``.

    To type checkers it is generic in what the function returns, which is what ``result.get_output`` gives then.

    Parameters
    ----------
    definition : OperationFunction
        The decorated function.
    **options
        The options of `Operation`.

    Attributes
    ----------
    definition : OperationFunction
        The decorated function.
    """

    definition: OperationFunction[..., Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep no arguments: they are known from the fields, and would double the size of an instance."""
        return OperationBase.__new__(cls)

    def __init__(self, definition: OperationFunction[..., Any], **options: Unpack[Options]) -> None:
        """Take the function's ports, and its options where none are given."""
        self.definition = definition
        self._ports = definition.ports
        if options:
            check_options(definition.label, dict(options))
        elif not definition._given:
            return
        for name, value in {**definition._given, **options}.items():
            if value is not None:
                setattr(self, name, value)

    @property
    def function(self) -> Callable[..., Any]:
        """The function that it calls."""
        return self.definition.function

    def __call__(self, /, *sources: Any, **inputs: Any) -> Self:
        """Add it to the graph of the ``with`` block; see `Operation`."""
        return self._add_to_block(self.definition.pattern.positional_names, sources, inputs)

    def execute(self, context: Any) -> Any:
        """Call the function with the inputs, and set the outputs from what it returns.

        Parameters
        ----------
        context : ExecutionContext
            The context, for a parameter that is annotated with its class.

        Returns
        -------
        object
            ``None``, or a coroutine that does the same for a coroutine function.
        """
        pattern, names = self.definition.pattern, list(self.ports.input_index)
        arguments = [context if index < 0 else self.get_input(names[index]) for index in pattern.arguments]
        by_position = len(arguments) - len(pattern.keyword_names)
        keywords = dict(zip(pattern.keyword_names, arguments[by_position:], strict=True))
        value = self.definition.called(*arguments[:by_position], **keywords)
        return self._set_later(value) if self.definition.is_coroutine else self._set(value)

    async def _set_later(self, value: Any) -> None:
        self._set(await value)

    def _set(self, value: Any) -> None:
        names = list(self.ports.output_index)
        if not self.definition.spread:
            for name in names:
                self.set_output(name, value)
            return
        if not isinstance(value, tuple) or len(value) != len(names):
            raise PortError(f"{self._implicit_name()} must return a tuple of {len(names)} items: {', '.join(names)}")
        for name, item in zip(names, value, strict=True):
            self.set_output(name, item)

    def __iter__(self) -> Iterator[OutputReference]:  # type: ignore[override] # only with several named outputs
        """Give its outputs in their order, as the function's tuple gives their values."""
        if not self.definition.spread:
            raise TypeError(f"{self!r} has one output, and gives no items before it runs")
        return (OutputReference(self, name) for name in self.ports.output_index)

    def _implicit_name(self) -> str:
        return self.definition.label

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<operation {self.definition.label}{name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__dict__)
        definition = state.pop("definition")
        del state["_ports"]
        return _remake, (type(self), definition, state)


def _remake(
    kind: type[FunctionOperation[R]], definition: OperationFunction[..., Any], state: dict[str, Any]
) -> FunctionOperation[R]:
    made = kind(definition)
    made.__dict__.update(state)
    return made


@overload
def operation(function: Callable[P, R], /) -> OperationFunction[P, R]: ...
@overload
def operation(
    function: None = None,
    /,
    *,
    outputs: str | Iterable[str] | None = None,
    checks: Mapping[str, Iterable[Check]] | None = None,
    **options: Unpack[Options],
) -> Callable[[Callable[P, R]], OperationFunction[P, R]]: ...
def operation(
    function: Callable[..., Any] | None = None,
    /,
    *,
    outputs: str | Iterable[str] | None = None,
    checks: Mapping[str, Iterable[Check]] | None = None,
    **options: Unpack[Options],
) -> Any:
    """Turn a function into an operation; with or without options.

    The parameters are input ports, and a default makes one optional. A parameter that is annotated `ExecutionContext`
    is no port and receives the context. The one output is called ``result``; a tuple is one value, unless `outputs` is
    given.

    Parameters
    ----------
    outputs : str or iterable of str, optional
        A name for the one output, or names for the items of the tuple that the function returns.
    checks : mapping of str to iterable of Check, optional
        What the values of ports are checked for, by the names of parameters and outputs; ``Annotated[int, check]`` in
        the annotation of a parameter or of the result is the same.
    **options
        The options of `Operation`; `name` is what its operations are called by default.

    Returns
    -------
    OperationFunction
        Can be called as the function, and given to ``graph.add``.

    Raises
    ------
    TypeError, GraphError
        It is no function, or an option does not exist or has no such value.

    Examples
    --------
    >>> @operation(outputs=("low", "high"))
    ... def limits(values: list[int], margin: int = 0) -> tuple[int, int]:
    ...     return min(values) - margin, max(values) + margin
    >>> limits([3, 1, 2])
    (1, 3)
    >>> limits.ports
    <ports of limits: (values: list[int], margin: int) -> (low: int, high: int)>
    """
    if function is None:
        return lambda decorated: operation_of(decorated, outputs, options, checks)
    return operation_of(function, outputs, options, checks)


def operation_of(
    function: Callable[..., Any],
    outputs: str | Iterable[str] | None = None,
    options: Options | None = None,
    checks: Mapping[str, Iterable[Check]] | None = None,
) -> OperationFunction[..., Any]:
    """Return a function as an operation; one that is decorated already keeps its own options."""
    if isinstance(function, OperationFunction):
        made = OperationFunction(
            function.function,
            function._outputs if outputs is None else outputs,
            cast(Options, {**function._options, **(options or {})}),
            {**function._checks, **(checks or {})},
        )
        made._local_names = function._local_names
        return made
    if isinstance(function, type) or not callable(function):
        raise TypeError(
            f"@operation is for functions, not for {function!r}; a class of operations derives from Operation"
        )
    return OperationFunction(function, outputs, options, checks)

"""What is called in the place of the function of an operation whose results are kept."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from execution_dataflow._core import MISSING, OperationBase, current_frame
from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.checks.checking import PortChecks, checked
from execution_dataflow.errors import ContractError
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.operations import Operation
from execution_dataflow.ports import OutputPort
from execution_dataflow.type_rules import check_value

__all__ = ["CachedKind", "Place", "cached", "kind_of_cached"]


class Place(NamedTuple):
    """An attempt whose result may be there. It is no native frame: tracebacks lead to this, and no collector to that.

    Attributes
    ----------
    record : RunRecord
        The run.
    node : int
        The index of the operation.
    items : tuple of int
        Which item of a map it is.
    operation : Operation
        The operation.
    inputs : tuple of object
        The values of its inputs, in their order.
    """

    record: Any
    node: int
    items: tuple[int, ...]
    operation: Operation
    inputs: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CachedKind:
    """What operations of one kind have in common, for the cache.

    Parameters
    ----------
    operation : str
        Their class or function, with its module.
    policy : CachePolicy
        What they ask for.
    inputs : tuple of str
        The names of their inputs.
    outputs : tuple of (str, OutputPort)
        Their outputs.
    returns_outputs : bool
        Whether they are functions, whose outputs are what they return.
    spread : bool
        Whether that is a tuple with one item for each output.
    """

    operation: str
    policy: CachePolicy
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, OutputPort[Any]], ...]
    returns_outputs: bool
    spread: bool

    @property
    def names(self) -> list[str]:
        """The names of the outputs."""
        return [name for name, _ in self.outputs]

    def outputs_of(self, operation: Operation, returned: Any) -> list[Any] | None:
        """Return what an attempt is about to commit, ``_core.MISSING`` for what is not set.

        Parameters
        ----------
        operation : Operation
            The operation, on the thread or in the coroutine of the attempt.
        returned : object
            What it has returned.

        Returns
        -------
        list of object or None
            ``None`` if the attempt is going to fail: an output is missing, or has the wrong type.
        """
        if self.returns_outputs:
            return self.checked(self._returned(returned))
        values = []
        for name, _ in self.outputs:
            try:
                values.append(OperationBase.get_output(operation, name))
            except ContractError:
                values.append(MISSING)
        return self.checked(values)

    def _returned(self, returned: Any) -> list[Any] | None:
        if not self.outputs:
            return []
        if not self.spread:
            return [returned]
        return list(returned) if isinstance(returned, tuple) and len(returned) == len(self.outputs) else None

    def checked(self, values: list[Any] | None) -> list[Any] | None:
        """Return the outputs if they can be committed."""
        if values is None:
            return None
        for value, (_, port) in zip(values, self.outputs, strict=True):
            if value is MISSING:
                if not port.optional:
                    return None
            elif check_value(port.check, value) is not None:
                return None
        return values

    def renewed(self, values: list[Any]) -> list[Any]:
        """Return outputs that were kept, with a copy of what has to be a fresh array."""
        for index, (_, port) in enumerate(self.outputs):
            flags = getattr(values[index], "flags", None) if port.fresh else None
            if flags is not None and not flags.writeable:
                values[index] = values[index].copy()
        return values

    def replay(self, operation: Operation, values: list[Any]) -> Callable[..., Any]:
        """Return a function that does what the operation has done: it returns the outputs, or sets them."""
        values = self.renewed(values)
        if self.returns_outputs:
            returned = tuple(values) if self.spread else values[0] if values else None
            return lambda *args, **kwargs: returned

        def set_outputs(*args: Any, **kwargs: Any) -> None:
            for (name, _), value in zip(self.outputs, values, strict=True):
                if value is not MISSING:
                    OperationBase.set_output(operation, name, value)

        return set_outputs


@dataclass(frozen=True, slots=True, eq=False)
class CachedFunction:
    """The function of operations of one kind.

    Parameters
    ----------
    kind : CachedKind
        What they are.
    compute : callable
        The function, with the checks of its ports.
    checks : PortChecks or None
        Those checks, for what was kept.
    """

    kind: CachedKind
    compute: Callable[..., Any]
    checks: PortChecks | None

    def replay(self, operation: Operation, values: list[Any]) -> Callable[..., Any]:
        """Return a function that does what the operation has done, with the checks of its ports."""
        replay = self.kind.replay(operation, values)
        return replay if self.checks is None else checked(replay, False, self.checks)


def kind_of_cached(operation: Operation) -> CachedKind:
    """Return what the cache has to know of an operation whose results are kept."""
    ports = operation.ports
    policy = operation._settings.cache
    assert policy is not None, "it is asked only of operations with a cache"
    is_function = (
        isinstance(operation, FunctionOperation)
        and getattr(operation.execute, "__func__", None) is FunctionOperation.execute
    )
    if is_function:
        assert isinstance(operation, FunctionOperation)
        definition = operation.definition
        source: Any = definition.function
        label, spread = definition.label, definition.spread
    else:
        source, label, spread = type(operation), type(operation).__name__, False
    name = getattr(source, "__qualname__", label)
    module = getattr(source, "__module__", None)
    return CachedKind(
        operation=f"{module}.{name}" if module else name,
        policy=policy,
        inputs=tuple(ports.input_index),
        outputs=ports.outputs,
        returns_outputs=is_function,
        spread=spread,
    )


def cached(
    function: Callable[..., Any], is_coroutine: bool, operation: Operation, checks: PortChecks | None
) -> Callable[..., Any]:
    """Return what is called in the place of the function of an operation whose results are kept.

    Parameters
    ----------
    function : callable
        Its ``execute``, or the decorated function, with the checks of its ports.
    is_coroutine : bool
        Whether that is a coroutine function.
    operation : Operation
        The operation, or one that is like it.
    checks : PortChecks or None
        The checks of its ports.
    """
    called = CachedFunction(kind_of_cached(operation), function, checks)
    if is_coroutine:

        @functools.wraps(function)
        async def ask_and_await(*args: Any, **kwargs: Any) -> Any:
            cache, place = _here(called.kind)
            if cache is None or place is None:
                return await function(*args, **kwargs)
            # Taken out of this frame, since tracebacks lead to it.
            places = [place]
            del place
            return await cache.call_coroutine(called, places, args, kwargs)

        return ask_and_await

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        cache, place = _here(called.kind)
        if cache is None or place is None:
            return function(*args, **kwargs)
        places = [place]
        del place
        return cache.call(called, places, args, kwargs)

    return ask


def _here(kind: CachedKind) -> tuple[Any, Place | None]:
    """The cache of the run, if it has one, and which attempt it is; ``None`` if an input has no value."""
    frame = current_frame()
    assert frame is not None, "an operation with a cache was called outside of a run"
    cache = frame.run.cache
    if cache is None:
        return None, None
    operation = frame.operation
    try:
        inputs = tuple(OperationBase.get_input(operation, name) for name in kind.inputs)
    except ContractError:
        return None, None  # a clean-up whose source has failed
    return cache, Place(frame.run, frame.node, frame.items, operation, inputs)

"""Branches and loops in the definition of a graph: the methods that add what chooses, what joins and what repeats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from execution_dataflow.errors import PortError
from execution_dataflow.expansion.branches import FirstOf, Switch, type_of_first, type_of_source
from execution_dataflow.expansion.repeating import OnLimit, RepeatedOperation, new_loop
from execution_dataflow.operations import Operation, OutputReference

__all__ = ["GraphBranches"]


class GraphBranches(ABC):
    """The part of `GraphDefinition` that is about branches and loops."""

    if TYPE_CHECKING:

        def __init__(self, name: str | None = None) -> None: ...

    @abstractmethod
    def add(self, operation: Any, /, **inputs: Any) -> Any:
        """Add an operation."""

    @abstractmethod
    def compile(self) -> Any:
        """Return the plan."""

    def switch(
        self,
        value: Any,
        /,
        *,
        cases: Iterable[str] | Mapping[str, Any],
        by: Callable[[Any], Any] | Operation | OutputReference | None = None,
        default: str | None = None,
        name: str | None = None,
    ) -> Switch:
        """Add an operation that passes a value on through one of several outputs; what follows the others is SKIPPED.

        Parameters
        ----------
        value : object
            Where the value comes from: an operation of this graph, one of its outputs, or a constant.
        cases : iterable of str, or mapping of str to object
            The names of the outputs. Of a mapping, each with what it is for: a value that the deciding one equals, or a
            function that is true for it. Without, an output is for its own name. The first one that fits is taken.
        by : callable, Operation or OutputReference, optional
            What decides: a function of the value, or the value of an operation of this graph; by default the value
            itself.
        default : str, optional
            The output for what fits none. Without, the operation fails with a `SwitchError` that names the value.
        name : str, optional
            Its name.

        Returns
        -------
        Switch
            The operation that was added; its outputs are ``switch["case"]``.

        Raises
        ------
        PortError, GraphError, TypeError, UnknownOperationError
            The cases cannot be so; otherwise as for `add`.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("halves")
        >>> parity = graph.switch(7, cases={"even": 0, "odd": 1}, by=lambda number: number % 2)
        >>> half = graph.add(lambda even: even // 2, even=parity["even"])
        >>> tripled = graph.add(lambda odd: 3 * odd + 1, odd=parity["odd"])
        >>> following = graph.first_of(half, tripled)
        >>> ExecutionEngine().run(graph).get_output(following)
        22
        """
        separate = isinstance(by, Operation | OutputReference)
        made = Switch(
            cases,
            by=None if isinstance(by, Operation | OutputReference) else by,
            default=default,
            data_type=type_of_source(value),
            separate=separate,
            name=name,
        )
        self.add(made, value=value, **({"selector": by} if separate else {}))
        return made

    def first_of(self, *sources: Any, name: str | None = None) -> FirstOf:
        """Add an operation that joins branches: it passes on the value of the first source that was not skipped.

        It waits for all of them. It is SKIPPED if all were, and does not run if one of them failed.

        Parameters
        ----------
        *sources : Operation or OutputReference
            Where the values come from, in the order in which they are preferred.
        name : str, optional
            Its name.

        Returns
        -------
        FirstOf
            The operation that was added; its output is ``value``.

        Raises
        ------
        PortError
            There are no sources.
        UnknownOperationError
            A source is not part of this graph.
        """
        if not sources:
            raise PortError("first_of() joins branches: give it the operations at their ends", port="sources")
        made = FirstOf(type_of_first(sources), name=name)
        self.add(made, sources=list(sources))
        return made

    def repeat_until(
        self,
        body: Operation | Callable[..., Any],
        /,
        *,
        until: Operation | Callable[..., Any],
        max_iterations: int,
        on_limit: OnLimit = "fail",
        name: str | None = None,
        **inputs: Any,
    ) -> RepeatedOperation:
        """Add an operation that runs another one again and again, each time with what it set the time before.

        Outputs of `body` feed its inputs of the same names in the next iteration; its others are the same for all.
        What it sets last is what the loop sets. The operations of the fourth iteration of the loop ``solve`` are called
        ``solve[3]/step`` in errors, events and logs, and have random streams of their own.

        Parameters
        ----------
        body : Operation or callable
            What is repeated; `repeated` makes one that is a loop itself.
        until : callable or Operation
            Takes outputs of `body`, or its inputs, by their names, and returns whether that was the last iteration.
        max_iterations : int
            The most iterations.
        on_limit : {"fail", "keep"}
            Whether a loop that comes to its maximum fails with an `IterationLimitError`, or sets what the last
            iteration came to.
        name : str, optional
            Its name; that of `body` by default.
        **inputs
            What the inputs of the first iteration are given, as for `add`.

        Returns
        -------
        RepeatedOperation
            The operation that was added. It has the ports of `body`.

        Raises
        ------
        PortError, UnknownPortError, PortTypeError, GraphError, TypeError
            It cannot be repeated so; otherwise as for `add`.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> from execution_dataflow.functions import operation
        >>> @operation(outputs=("guess", "change"))
        ... def newton(square: float, guess: float) -> tuple[float, float]:
        ...     better = (guess + square / guess) / 2
        ...     return better, abs(better - guess)
        >>> graph = GraphDefinition("root")
        >>> root = graph.repeat_until(
        ...     newton, until=lambda change: change < 1e-9, max_iterations=50, square=2.0, guess=1.0
        ... )
        >>> result = ExecutionEngine().run(graph)
        >>> round(result.get_output(root, "guess"), 6), result.get_iterations(root)
        (1.414214, 5)
        """
        made = new_loop(body, until, max_iterations, on_limit, type(self), name=name)
        self.add(made, **inputs)
        return made

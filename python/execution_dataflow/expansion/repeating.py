"""Operations that run another one again and again: what ``graph.repeat_until`` adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NoReturn, Protocol, TypeAlias

from execution_dataflow.errors import GraphError, PortError, PortTypeError, UnknownPortError
from execution_dataflow.functions import OperationFunction, Options, operation_of
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.parameters import is_coroutine_function
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.signatures import PortSignature, describe_type, ports_fit

__all__ = ["Carried", "IterationGraph", "OnLimit", "RepeatedOperation", "new_loop"]

OnLimit: TypeAlias = Literal["fail", "keep"]
"""What a loop does that comes to its maximum: fail, or keep what the last iteration came to."""

_ON_LIMIT = ("fail", "keep")


class IterationGraph(Protocol):
    """What an iteration is built with: a graph."""

    def add(self, operation: Any, /, **inputs: Any) -> Any:
        """Add an operation."""

    def compile(self) -> Any:
        """Return the plan."""


class Carried(Operation):
    """What an iteration is given: the place of an input of a loop in the graph of its iterations.

    Parameters
    ----------
    port : str
        The input.
    given : InputPort
        Its port.
    """

    executor = "thread"
    is_given = True

    def __init__(self, port: str, given: InputPort[Any]) -> None:
        super().__init__()
        self.port = port
        self.add_output_port("value", OutputPort(given.data_type, dtype=given.dtype, shape=given.shape))

    def execute(self, context: Any) -> NoReturn:
        """Refuse: its value is given."""
        raise GraphError(f"input {self.port!r} of a loop is given its value; there is nothing to call")

    def _implicit_name(self) -> str:
        return f"input {self.port}"


class RepeatedOperation(Operation):
    """Runs another operation again and again, each time with what it set the time before; made by `repeated`.

    It has the ports of that operation. Outputs feed the inputs of the same names in the next iteration; the others are
    the same for all.

    Attributes
    ----------
    body : Operation
        What is repeated.
    max_iterations : int
        The most iterations.
    on_limit : {"fail", "keep"}
        What happens after these.
    plan : Plan
        What runs in one iteration.
    given : tuple of int
        For each input the node of the plan that stands for it.
    fed : tuple of int
        For each input the output that feeds it, -1 for none.
    results : tuple of (int, int)
        What is kept of an iteration, as a node of the plan and its port: the outputs, then the inputs that are the same
        for all, and last of all what ``until`` came to.
    """

    def __init__(
        self,
        body: Operation,
        until: Operation,
        *,
        max_iterations: int,
        on_limit: OnLimit,
        new_graph: Callable[[str], IterationGraph],
        name: str | None = None,
        retry_policy: RetryPolicy | None = None,
        priority: int | None = None,
        description: str | None = None,
        on_failure: Any = None,
        always_run: bool | None = None,
    ) -> None:
        super().__init__(
            name=name,
            retry_policy=retry_policy,
            priority=priority,
            description=description,
            on_failure=on_failure,
            always_run=always_run,
        )
        label = label_of(body)
        _check_options(label, max_iterations, on_limit)
        ports = body.ports.frozen
        body._ports = ports
        _check_ports(label, ports)
        self.body = body
        self.until = until
        self.max_iterations = max_iterations
        self.on_limit: OnLimit = on_limit
        self._new_graph = new_graph
        self.fed = tuple(ports.output_index.get(port, -1) for port in ports.input_index)
        self._ports = PortSignature(
            label_of(self),
            tuple((port, _outer_input(given)) for port, given in ports.inputs),
            tuple((port, _outer_output(given)) for port, given in ports.outputs),
        )
        self._build(new_graph)

    def _build(self, new_graph: Callable[[str], IterationGraph]) -> None:
        graph, ports = new_graph(label_of(self)), self.body.ports
        carried = {port: graph.add(Carried(port, given)) for port, given in ports.inputs}
        step = graph.add(self.body, **carried)
        known = {**carried, **{port: OutputReference(step, port) for port in ports.output_index}}
        asked = _asked(label_of(self.body), self.until, known)
        until = graph.add(self.until, **asked)
        self.plan = plan = graph.compile()
        self.given = tuple(plan.index_of(source) for source in carried.values())
        ends = [_place(plan, step, port) for port in ports.output_index]
        same = [(node, 0) for node, fed in zip(self.given, self.fed, strict=True) if fed < 0]
        self.results = (*ends, *same, _place(plan, until, None))

    def with_options(self, **options: Any) -> RepeatedOperation:
        """Return the same loop with other options; without any, one that was given none."""
        return RepeatedOperation(
            self.body,
            self.until,
            max_iterations=self.max_iterations,
            on_limit=self.on_limit,
            new_graph=self._new_graph,
            **options,
        )

    def execute(self, context: Any) -> NoReturn:
        """Refuse: the engine runs the body, and never this."""
        raise GraphError(f"{label_of(self)} is a loop, which an engine runs step by step; there is nothing to call")

    def _implicit_name(self) -> str:
        return label_of(self.body)


def _place(plan: Any, operation: Operation, port: str | None) -> tuple[int, int]:
    node, _, index = plan.output_of(operation, port)
    return node, index


def _outer_input(port: InputPort[Any]) -> InputPort[Any]:
    if not port.mutable:
        return port
    # An iteration may write what it is given, and the loop keeps what it was given for its next attempt.
    options: dict[str, Any] = {"dtype": port.dtype, "shape": port.shape, "description": port.description}
    if port.optional:
        options["default"] = port.default
    return InputPort(port.data_type, **options)


def _outer_output(port: OutputPort[Any]) -> OutputPort[Any]:
    if not port.fresh:
        return port
    return OutputPort(port.data_type, dtype=port.dtype, shape=port.shape, description=port.description)


def _check_options(label: str, max_iterations: object, on_limit: object) -> None:
    if isinstance(max_iterations, bool) or not isinstance(max_iterations, int):
        raise TypeError(f"the loop of {label}: max_iterations= must be an int, not {max_iterations!r}")
    if max_iterations < 1:
        raise GraphError(f"the loop of {label}: max_iterations= must be 1 or more, not {max_iterations}")
    if on_limit not in _ON_LIMIT:
        raise GraphError(
            f"the loop of {label}: on_limit= must be {' or '.join(map(repr, _ON_LIMIT))}, not {on_limit!r}"
        )


def _check_ports(label: str, ports: PortSignature) -> None:
    if not ports.outputs:
        raise PortError(f"{label} cannot be repeated: it has no outputs that could say when to stop", operation=label)
    for name, given in ports.inputs:
        if given.many:
            raise PortError(
                f"{label} cannot be repeated: its input {name!r} takes many sources; give it one that takes a list",
                operation=label,
                port=name,
            )
    for index, (name, output) in enumerate(ports.outputs):
        if output.optional:
            raise PortError(
                f"{label} cannot be repeated: its output {name!r} is optional, and every iteration needs a value; set "
                "it to None where there is none, and declare it without optional=True",
                operation=label,
                port=name,
            )
        fed = ports.input_index.get(name)
        if fed is not None and not ports_fit(ports.output_types[index], ports.input_types[fed]):
            source, target = describe_type(ports.output_types[index]), describe_type(ports.input_types[fed])
            raise PortTypeError(
                f"{label} cannot be repeated: its output {name!r} is {source}, and feeds its input {name!r} in the "
                f"next iteration, which is {target}",
                source=f"{label}.{name}",
                target=f"{label}.{name}",
                source_type=source,
                target_type=target,
            )


def _asked(label: str, until: Operation, known: dict[str, Any]) -> dict[str, Any]:
    """Return what the inputs of ``until`` are given: those of its names."""
    ports = until.ports
    if len(ports.outputs) != 1:
        raise PortError(f"until={label_of(until)} must have one output, which is true at the end", operation=label)
    asked = {}
    for name, port in ports.inputs:
        if name in known:
            asked[name] = known[name]
        elif not port.optional:
            raise UnknownPortError(
                label_of(until),
                name,
                list(known),
                "output",
                f"until= takes outputs of {label}, or its inputs, by name.",
            )
    return asked


def new_loop(
    body: Any,
    until: Any,
    max_iterations: int,
    on_limit: OnLimit,
    new_graph: Callable[[str], IterationGraph],
    **options: Any,
) -> RepeatedOperation:
    """Return an operation that repeats another one, or a function, or a graph.

    Parameters
    ----------
    body : Operation, callable or graph
        What is repeated.
    until : callable or Operation
        What says when to stop.
    max_iterations, on_limit
        As for `RepeatedOperation`.
    new_graph : callable
        Makes an empty graph with a name.
    **options
        The options of the loop.

    Returns
    -------
    RepeatedOperation
        The loop.

    Raises
    ------
    TypeError
        One of them is neither.
    """
    return RepeatedOperation(
        _body_of(body),
        _until_of(until),
        max_iterations=max_iterations,
        on_limit=on_limit,
        new_graph=new_graph,
        **options,
    )


def _body_of(body: Any) -> Operation:
    if isinstance(body, Operation):
        return body
    if hasattr(body, "as_operation"):
        made: Operation = body.as_operation()
        return made
    if isinstance(body, type) or not callable(body):
        raise TypeError(f"what is repeated must be an operation or a function, not {body!r}")
    return body.new() if isinstance(body, OperationFunction) else operation_of(body).new()


def _until_of(until: Any) -> Operation:
    if isinstance(until, Operation):
        return until
    if isinstance(until, type) or not callable(until):
        raise TypeError(f"until= must be a function or an operation, not {until!r}")
    if isinstance(until, OperationFunction):
        return until.new()
    # A coroutine runs on the event loop.
    place: Options = {} if is_coroutine_function(until) else {"executor": "thread"}
    return operation_of(until, options={"name": "until", **place}).new()

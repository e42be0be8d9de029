"""What the engine itself costs: graphs of operations that do nothing, beside the loop that one would write by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.functions import operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan
from execution_dataflow.ports import InputPort, OutputPort

__all__ = ["Comparison", "chain", "compare", "noop_twin", "run_seconds", "wide"]


@operation(name="nothing")
def _nothing() -> Any:
    return None


@operation(name="pass_on")
def _pass_on(value: Any) -> Any:
    return value


@operation(name="two")
def _two(first: Any, second: Any) -> Any:
    return None


@operation(name="three")
def _three(first: Any, second: Any, third: Any) -> Any:
    return None


class _Gather(Operation):
    values = InputPort(many=True)
    result = OutputPort()

    def execute(self, context: Any) -> None:
        self.result = None


_BY_INPUTS = (_nothing, _pass_on, _two, _three)


@dataclass(frozen=True)
class Shape:
    """A graph by numbers: for each operation, those that it takes values from."""

    name: str
    sources: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Comparison:
    """The time for one operation, in nanoseconds, of the loop and of the engine.

    Parameters
    ----------
    shape : str
        Which graph.
    operations : int
        How many operations it has.
    loop, run, build : float
        The hand-written loop; a run of the compiled graph on one worker; building and compiling the graph.
    """

    shape: str
    operations: int
    loop: float
    run: float
    build: float

    @property
    def ratio(self) -> float:
        """The engine's time by the loop's."""
        return self.run / self.loop


def chain(operations: int) -> Shape:
    """Return a graph in which each operation takes the value of the one before."""
    return Shape("chain", [(), *((node,) for node in range(operations - 1))])


def wide(operations: int) -> Shape:
    """Return a graph of one source, which all others take the value of."""
    return Shape("wide", [(), *(((0,),) * (operations - 1))])


def compare(shape: Shape, rounds: int) -> Comparison:
    """Measure a graph of no-ops and the loop over the same functions, in turn; medians of some rounds.

    Parameters
    ----------
    shape : Shape
        The graph.
    rounds : int
        How often each is measured.

    Returns
    -------
    Comparison
        The times.
    """
    count = len(shape.sources)
    work = [(_BY_INPUTS[len(taken)].function, taken) for taken in shape.sources]
    slots: list[Any] = [None] * count

    def loop() -> None:
        # The floor of the design: what one would write instead of a graph.
        for node, (function, taken) in enumerate(work):
            slots[node] = function(*[slots[source] for source in taken])

    began = time.perf_counter()
    plan = _graph(shape).compile()
    built = time.perf_counter() - began
    with ExecutionEngine(max_workers=1) as engine:
        loops, runs = [], []
        for _ in range(rounds):
            loops.append(_seconds(loop))
            runs.append(_seconds(lambda: engine.run(plan)))
    each = 1e9 / count
    return Comparison(shape.name, count, median(loops) * each, median(runs) * each, built * each)


def noop_twin(plan: Plan) -> GraphDefinition:
    """Return a graph of the same shape as a plan's, whose operations do nothing.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    GraphDefinition
        The twin: the same operations by number, with the same predecessors.
    """
    core = plan.core
    sources: list[Sequence[int]] = [()] * len(plan)
    for node in range(len(plan)):
        sources[node] = core.predecessors(node)
    return _graph(Shape(plan.name, sources), core.order())


def run_seconds(graph: GraphDefinition | Plan, workers: int | None, rounds: int) -> float:
    """Return how long the fastest of some runs takes."""
    plan = graph if isinstance(graph, Plan) else graph.compile()
    with ExecutionEngine(max_workers=workers) as engine:
        return min(_seconds(lambda: engine.run(plan)) for _ in range(rounds))


def _graph(shape: Shape, order: Sequence[int] | None = None) -> GraphDefinition:
    graph = GraphDefinition(shape.name)
    made: dict[int, Operation] = {}
    for node in range(len(shape.sources)) if order is None else order:
        taken = [made[source] for source in shape.sources[node]]
        if len(taken) < len(_BY_INPUTS):
            function = _BY_INPUTS[len(taken)]
            made[node] = graph.add(function, **dict(zip(function.ports.input_index, taken, strict=True)))
        else:
            made[node] = graph.add(_Gather(), values=taken)
    return graph


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began

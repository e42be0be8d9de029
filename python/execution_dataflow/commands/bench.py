"""``execution-dataflow bench``: what the engine costs on this machine, and what it costs a graph."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from execution_dataflow.commands.engine_choices import (
    AllowOption,
    JsonOption,
    OptionalGraphArgument,
    ParameterOption,
    WorkersOption,
)
from execution_dataflow.commands.graph_parameters import LoadedGraph
from execution_dataflow.commands.mistakes import RUN_FAILED, SUCCESS, Mistake, complain
from execution_dataflow.commands.parameter_options import GivenGraph
from execution_dataflow.commands.streams import ResultStream, only_results_on_stdout
from execution_dataflow.errors import DataflowError
from execution_dataflow.result_text import duration_text

__all__ = ["bench"]

_OPERATIONS = 20_000
_ROUNDS = 7
_SLOWEST = 8


@dataclass(frozen=True)
class _Slow:
    operation: str
    seconds: float
    queued_seconds: float


@dataclass(frozen=True)
class _Measured:
    """What a graph's own runs took; the fastest of them."""

    graph: str
    operations: int
    workers: int
    runs: int
    total_seconds: float
    operation_seconds: float
    parallelism: float
    overhead_nanoseconds: float
    overhead_share: float
    slowest: list[_Slow]


def bench(
    ctx: typer.Context,
    graph: OptionalGraphArgument = None,
    param: ParameterOption = None,
    workers: WorkersOption = None,
    repeat: Annotated[int, typer.Option(min=1, metavar="N", help="How often the graph is run.")] = 3,
    allow: AllowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what the engine costs, on this machine.

    Without a graph: the time for one operation that does nothing, beside the loop that one would write by hand; it
    takes a few seconds.

    With a graph: it is run, and what the run took is told apart: the time in operations, how many of them ran at a
    time, the slowest, and what the engine needs for each, measured with a twin of the graph that does nothing.
    """
    with only_results_on_stdout(as_json) as results:
        if graph is None:
            if param or allow or workers is not None:
                raise Mistake("these options belong to a graph: name one, as module:graph")
            _measure_engine(as_json, results)
            code = SUCCESS
        else:
            given: GivenGraph = ctx.obj
            code = _measure_graph(given.load(param or ()), workers, repeat, as_json, results)
    raise typer.Exit(code)


def _measure_engine(as_json: bool, results: ResultStream) -> None:
    from execution_dataflow.commands.noop_graphs import chain, compare, wide

    measured = [compare(shape, _ROUNDS) for shape in (chain(_OPERATIONS), wide(_OPERATIONS))]
    if as_json:
        results.write(json.dumps([{**asdict(found), "ratio": found.ratio} for found in measured], indent=2))
        return
    lines = [
        f"nanoseconds for one operation that does nothing; graphs of {_OPERATIONS:,} functions, one worker, medians of "
        f"{_ROUNDS} rounds",
        "",
        f"{'graph':<8}{'hand-written loop':>20}{'engine':>10}{'ratio':>9}{'build and compile':>20}",
    ]
    for found in measured:
        lines.append(
            f"{found.shape:<8}{found.loop:>20.0f}{found.run:>10.0f}{found.ratio:>8.2f}x{found.build:>20.0f}",
        )
    results.write("\n".join(lines))


def _measure_graph(loaded: LoadedGraph, workers: int | None, repeat: int, as_json: bool, results: ResultStream) -> int:
    from execution_dataflow.commands.noop_graphs import noop_twin, run_seconds
    from execution_dataflow.engine import ExecutionEngine

    best: Any = None
    try:
        plan = loaded.compile()
        with ExecutionEngine(max_workers=workers) as engine:
            for _ in range(repeat):
                result = engine.run(plan, parameters=loaded.parameters)
                if not result.is_successful():
                    complain(result.get_error_message() or "the run failed")
                    return RUN_FAILED
                if best is None or result.seconds < best.seconds:
                    best = result
            used = engine.max_workers
    except (DataflowError, TypeError, ValueError) as error:
        raise Mistake(str(error)) from None
    count = len(plan)
    twin = run_seconds(noop_twin(plan), used, max(3, repeat)) if count else 0.0
    timings = best.timings
    inside = sum(timing.seconds for timing in timings)
    measured = _Measured(
        plan.name,
        count,
        used,
        repeat,
        best.seconds,
        inside,
        inside / best.seconds if best.seconds else 0.0,
        twin / count * 1e9 if count else 0.0,
        twin / best.seconds if best.seconds else 0.0,
        [
            _Slow(timing.operation, timing.seconds, timing.queued_seconds)
            for timing in sorted(timings, key=lambda timing: timing.seconds, reverse=True)[:_SLOWEST]
        ],
    )
    results.write(json.dumps(asdict(measured), indent=2) if as_json else _text(measured))
    return SUCCESS


def _text(found: _Measured) -> str:
    lines = [
        f"{found.graph}: {found.operations:,} operations, {found.workers} workers, the fastest of {found.runs} runs",
        "",
        f"{'total time':<34}{duration_text(found.total_seconds):>12}",
        f"{'time in operations':<34}{duration_text(found.operation_seconds):>12}",
        f"{'operations at a time, on average':<34}{found.parallelism:>12.2f}",
        f"{'engine, for each operation':<34}{duration_text(found.overhead_nanoseconds / 1e9):>12}",
        f"{'engine, of the total time':<34}{found.overhead_share:>12.2%}",
    ]
    if found.slowest:
        width = max(20, *(len(slow.operation) for slow in found.slowest))
        lines += ["", f"{'slowest operations':<{width}}{'took':>12}{'waited':>12}{'of all':>9}"]
        whole = found.operation_seconds or 1.0
        lines += [
            f"{slow.operation:<{width}}{duration_text(slow.seconds):>12}{duration_text(slow.queued_seconds):>12}"
            f"{slow.seconds / whole:>9.1%}"
            for slow in found.slowest
        ]
    return "\n".join(lines)

"""Mistakes that show while a graph runs, or when its result is read."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np
from bad_input import Clean, Load, Print, pair, row, run_one

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


class Make(Operation):
    """Sets its output to what it is given."""

    rows = OutputPort(int)
    seen = InputPort(int, default=0)

    def __init__(self, work: Any) -> None:
        super().__init__()
        self.work = work

    def execute(self, context: object) -> Any:
        return self.work(self)


def raising(error: BaseException | type[BaseException]) -> ExecutionResult:
    def load() -> None:
        raise error

    return run_one(load)


@row("a required output left unset")
def _() -> object:
    return run_one(Make(lambda self: None))


@row("a value returned instead of set")
def _() -> object:
    return run_one(Make(lambda self: 3))


@row("a value of the wrong type set")
def _() -> object:
    return run_one(Make(lambda self: self.set_output("rows", "three")))


@row("a value of the wrong type returned")
def _() -> object:
    @operation
    def count() -> int:
        return "three"  # type: ignore[return-value]

    return run_one(count)


@row("an array of the wrong dtype")
def _() -> object:
    class Matrix(Operation):
        values = OutputPort(np.ndarray, dtype="float64", shape=(None, 3))

        def execute(self, context: object) -> None:
            self.values = np.zeros((2, 3), dtype="int32")

    return run_one(Matrix())


@row("an array of the wrong shape")
def _() -> object:
    class Matrix(Operation):
        values = OutputPort(np.ndarray, dtype="float64", shape=(None, 3))

        def execute(self, context: object) -> None:
            self.values = np.zeros(3)

    return run_one(Matrix())


@row("a tuple of the wrong length")
def _() -> object:
    @operation(outputs=("low", "high"))
    def limits() -> tuple[int, int]:
        return (1,)  # type: ignore[return-value]

    return run_one(limits)


@row("an unknown port in `execute`")
def _() -> object:
    return run_one(Make(lambda self: self.set_output("row", 3)))


@row("an input that is assigned")
def _() -> object:
    return run_one(Make(lambda self: setattr(self, "seen", 3)))


@row("an output that is read")
def _() -> object:
    return run_one(Make(lambda self: self.rows))


@row("writing into an array that is shared")
def _() -> object:
    def write(values: Any) -> None:
        values[0] = 1

    graph = GraphDefinition("etl")
    graph.add(write, values=graph.add(lambda: np.zeros(3)))
    return ExecutionEngine().run(graph)


@row("`get_input` outside of a run")
def _() -> None:
    Clean().get_input("raw")


@row("`get_input` in a thread that `execute` started")
def _() -> object:
    errors: list[Exception] = []

    def read(self: Make) -> None:
        try:
            self.get_input("seen")
        except Exception as error:
            errors.append(error)

    def start(self: Make) -> None:
        thread = threading.Thread(target=read, args=(self,))
        thread.start()
        thread.join()
        raise errors[0]

    return run_one(Make(start))


@row("the attempt asked for outside of a run")
def _() -> None:
    _ = ExecutionContext().attempt


@row("progress in percent")
def _() -> object:
    @operation
    def load(context: ExecutionContext) -> None:
        context.progress(50)

    return run_one(load)


@row("an operation that raises `SystemExit`")
def _() -> object:
    return raising(SystemExit(3))


@row("an operation that raises `KeyboardInterrupt`")
def _() -> object:
    return raising(KeyboardInterrupt)


@row("an operation that raises `StopIteration`")
def _() -> object:
    return raising(StopIteration("no more"))


@row("a coroutine that raises `StopIteration`")
def _() -> object:
    async def load() -> None:
        raise StopIteration("no more")

    return run_one(load)


@row("an operation that raises `GeneratorExit`")
def _() -> object:
    return raising(GeneratorExit)


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


@row("an exception whose `__str__` raises")
def _() -> object:
    return raising(Mute())


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("with a lock")
        self.lock = threading.Lock()


@row("an exception that cannot be pickled")
def _() -> object:
    return raising(Unpicklable())


@row("an input that cannot be sent to a worker process")
def _() -> object:
    graph, engine = GraphDefinition("etl"), ExecutionEngine(max_workers=1, executor="process")
    graph.add(lambda x: x, x=threading.Lock())
    with engine:
        return engine.run(graph)


@row("an operation that ends its worker process")
def _() -> object:
    graph, engine = GraphDefinition("etl"), ExecutionEngine(max_workers=1, executor="process")
    graph.add(lambda: os._exit(3))
    with engine:
        return engine.run(graph)


@row("an operation that runs its own graph for ever")
def _() -> object:
    graph, engine = GraphDefinition("etl"), ExecutionEngine(max_workers=1)

    def again() -> None:
        result = engine.run(graph)
        first = result.first_error
        assert first is not None
        raise first.exception

    graph.add(again)
    return engine.run(graph)


@row("`engine.run` on the engine's event loop")
def _() -> object:
    engine, graph = ExecutionEngine(), GraphDefinition()

    async def outer() -> None:
        engine.run(GraphDefinition())

    graph.add(outer)
    return engine.run(graph)


@row("an operation that waits for its own run")
def _() -> object:
    engine, graph, handles = ExecutionEngine(), GraphDefinition(), []
    submitted = threading.Event()

    def wait() -> None:
        submitted.wait(10)
        handles[0].result()

    graph.add(wait)
    handles.append(engine.submit(graph))
    submitted.set()
    return handles[0].result()


@row("an operation that closes its engine")
def _() -> object:
    engine, graph = ExecutionEngine(), GraphDefinition()
    graph.add(engine.close)
    return engine.run(graph)


def spin() -> None:
    while True:
        time.sleep(0.001)


@row("an operation that takes longer than its time")
def _() -> object:
    return run_one(operation(spin, timeout_seconds=0.1))


@row("an operation that is stuck in native code for longer than its time")
def _() -> object:
    graph = GraphDefinition("etl")
    graph.add(operation(lambda: time.sleep(0.5), timeout_seconds=0.05, name="nap"))
    return ExecutionEngine(grace_seconds=0.05).run(graph)


@row("an engine used after `close()`")
def _() -> None:
    engine = ExecutionEngine()
    engine.close()
    engine.run(GraphDefinition())


@row("a result that takes longer than its timeout")
def _() -> None:
    graph = GraphDefinition()
    graph.add(lambda: time.sleep(0.2))
    with ExecutionEngine() as engine:
        engine.submit(graph).result(timeout=0.01)


@row("the value of an output that was let go")
def _() -> None:
    graph = GraphDefinition("etl")
    load = graph.add(Load())
    graph.add(Clean(), raw=load)
    ExecutionEngine().run(graph).get_output(load)


@row("the value of an operation that failed")
def _() -> None:
    raising(OSError("disk full")).get_output("load")


@row("an output that does not exist")
def _() -> None:
    run_one(Load()).get_output("Load", "row")


@row("the output of an operation that has none")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Print(), text="hello")
    ExecutionEngine().run(graph).get_output("Print")


@row("the result of an operation of another graph")
def _() -> None:
    run_one(Load()).get_output(pair()[1])


@row("a misspelt name of an operation")
def _() -> None:
    run_one(Load()).get_output("Laod")


@row("`raise_if_failed()` after a deadline")
def _() -> None:
    run_one(spin, deadline_seconds=0.1).raise_if_failed()


@row("`raise_if_failed()` after a failure")
def _() -> None:
    raising(OSError("disk full")).raise_if_failed()


@row("a list that is changed although others share it")
def _() -> ExecutionResult:
    graph = GraphDefinition("etl")
    graph.add(lambda rows: rows.append(1), rows=graph.add(operation(lambda: [0]).new(name="load")))
    return ExecutionEngine(debug=True).run(graph)


@row("an input that a clean-up has no value for")
def _() -> ExecutionResult:
    graph = GraphDefinition("etl")
    graph.add(operation(always_run=True)(lambda rows: rows).new(name="clean"), rows=graph.add(lambda: 1 / 0))
    result = ExecutionEngine().run(graph, failure_policy="continue")
    raise result.errors[1].exception from None

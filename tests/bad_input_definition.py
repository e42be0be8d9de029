"""Mistakes in operations, graphs and options: each is told before anything runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from bad_input import Clean, Load, Print, pair, row, run_one

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)


class Merge(Operation):
    """Declares in ``__init__`` what it is given."""

    def __init__(self, *ports: tuple[Any, Any]) -> None:
        super().__init__()
        for name, port in ports:
            self.add_input_port(name, port)

    def execute(self, context: object) -> None:
        pass


@row("no `super().__init__()`")
def _() -> None:
    class Clean(Operation):
        def __init__(self) -> None:
            self.limit = 3

        def execute(self, context: object) -> None:
            pass

    GraphDefinition().add_operation(Clean())


@row("no `super().__init__()` before `add_input_port`")
def _() -> None:
    class Clean(Operation):
        def __init__(self) -> None:
            self.add_input_port("raw", InputPort(int))

    Clean()


@row("a port named twice")
def _() -> None:
    Merge(("raw", InputPort(int)), ("raw", InputPort(str)))


@row("a port name with a space")
def _() -> None:
    Merge(("raw data", InputPort(int)))


@row("name and port in the wrong order")
def _() -> None:
    Merge((InputPort(int), "raw"))


@row("an output port where an input port belongs")
def _() -> None:
    Merge(("raw", OutputPort(int)))


@row("`InputPort` instead of `InputPort(...)`")
def _() -> None:
    Merge(("raw", InputPort))


@row("a value where the type of a port belongs")
def _() -> None:
    InputPort(3)


@row("a default of the wrong type")
def _() -> None:
    class Clean(Operation):
        limit = InputPort(int, default="three")


@row("a default for a port with `many=True`")
def _() -> None:
    InputPort(int, many=True, default=[])


@row("a misspelt option of a port")
def _() -> None:
    InputPort(int, defualt=3)  # type: ignore[call-overload]


@row("a port that hides a method or an option")
def _() -> None:
    class Clean(Operation):
        execute = InputPort(int)  # type: ignore[assignment]


@row("a port added after the operation is in a graph")
def _() -> None:
    _, load, _ = pair()
    load.add_output_port("more", OutputPort(int))


@row("a misspelt option of an operation")
def _() -> None:
    class Load(Operation):
        def __init__(self) -> None:
            super().__init__(retry_polcy=RetryPolicy())  # type: ignore[arg-type]

    Load()


@row("no `execute`")
def _() -> None:
    class Load(Operation):
        pass

    GraphDefinition().add_operation(Load())


@row("`execute` without the context")
def _() -> None:
    class Load(Operation):
        def execute(self) -> None:  # type: ignore[override]
            pass

    GraphDefinition().add_operation(Load())


@row('`executor="async"` without `async def`')
def _() -> None:
    class Load(Operation):
        executor = "async"

        def execute(self, context: object) -> None:
            pass

    GraphDefinition().add_operation(Load())


@row("an executor that does not exist")
def _() -> None:
    class Load(Operation):
        executor = "procces"  # type: ignore[assignment]


@row("a function with `*args`")
def _() -> None:
    def join(*parts: str) -> None:
        pass

    GraphDefinition().add(join)


@row("a function whose parameters cannot be known")
def _() -> None:
    GraphDefinition().add(max)


@row("a class where an operation belongs")
def _() -> None:
    GraphDefinition().add_operation(Load)  # type: ignore[type-var]


@row("a function given to `add_operation`")
def _() -> None:
    GraphDefinition().add_operation(abs)  # type: ignore[type-var]


@row("something else given to `graph.add`")
def _() -> None:
    GraphDefinition().add(3)  # type: ignore[call-overload]


@row("an operation added twice")
def _() -> None:
    graph, load, _ = pair()
    graph.add_operation(load)


@row("an unknown port")
def _() -> None:
    graph, load, clean = pair()
    graph.connect(load, "row", clean, "raw")


@row("an output where an input belongs")
def _() -> None:
    graph, load, clean = pair()
    graph.connect(load, "rows", clean, "clean")


@row("an input connected twice")
def _() -> None:
    graph, load, clean = pair()
    graph.connect(load, "rows", clean, "raw")
    graph.connect(load, "rows", clean, "raw")


@row("an input connected that has a constant")
def _() -> None:
    graph, load, _ = pair()
    clean = graph.add(Clean(), raw=1)
    graph.connect(load, "rows", clean, "raw")


@row("an operation of another graph")
def _() -> None:
    graph, load, _ = pair()
    _other, _, clean = pair()
    graph.connect(load, "rows", clean, "raw")


@row("operations and ports in the wrong order")
def _() -> None:
    graph, load, clean = pair()
    graph.connect("rows", load, "raw", clean)  # type: ignore[arg-type]


@row("a misspelt keyword of `connect`")
def _() -> None:
    graph, load, clean = pair()
    graph.connect(source_operation=load, source_port="rows", target_operation=clean, target_port="raw")  # type: ignore[call-arg]


@row("types that can never fit")
def _() -> None:
    graph, load, _ = pair()
    graph.connect(load, "rows", graph.add_operation(Print()), "text")


@row("dtypes that can never fit")
def _() -> None:
    class Matrix(Operation):
        values = OutputPort(np.ndarray, dtype="int64", shape=(None, 3))

        def execute(self, context: object) -> None:
            pass

    class Solve(Operation):
        matrix = InputPort(np.ndarray, dtype="float64")

        def execute(self, context: object) -> None:
            pass

    graph = GraphDefinition()
    graph.add(Solve(), matrix=graph.add(Matrix()))


@row("a self-loop")
def _() -> None:
    graph, _, clean = pair()
    graph.connect(clean, "clean", clean, "raw")


@row("a cycle")
def _() -> None:
    graph = GraphDefinition("etl")
    first, second = graph.add_operation(Clean()), graph.add_operation(Clean())
    graph.connect(first, "clean", second, "raw")
    graph.connect(second, "clean", first, "raw")
    ExecutionEngine().run(graph)


@row("a required input left unconnected")
def _() -> None:
    ExecutionEngine().run(pair()[0])


@row("a parameter of a function left unconnected")
def _() -> None:
    run_one(lambda x, y=2: x + y)


@row("two operations of one name")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add_operation(Load(name="load"))
    graph.add_operation(Load(name="load"))
    graph.validate()


@row("a keyword of `graph.add` that is no port")
def _() -> None:
    graph, load, _ = pair()
    graph.add(Clean(), rwa=load)


@row("an option given to `graph.add`")
def _() -> None:
    graph, load, _ = pair()
    graph.add(Clean(), raw=load, priority=3)


@row("a constant of the wrong type")
def _() -> None:
    GraphDefinition().add(Clean(), raw="three")


@row("a function given to an input")
def _() -> None:
    @operation
    def load() -> int:
        return 1

    GraphDefinition().add(Clean(), raw=load)


@row("a list of operations for one input")
def _() -> None:
    graph, load, _ = pair()
    graph.add(Clean(), raw=[load, load])


@row("an operation with several outputs as a source")
def _() -> None:
    @operation(outputs=("low", "high"))
    def limits() -> tuple[int, int]:
        return 1, 2

    graph = GraphDefinition()
    graph.add(Clean(), raw=graph.add(limits))


@row("columns of `add_many` that differ in length")
def _() -> None:
    GraphDefinition().add_many(lambda x, y: x, x=[1, 2, 3], y=[1, 2])


@row("`add_many` without a count or a column")
def _() -> None:
    GraphDefinition().add_many(lambda x: x, x=1)


@row("`connect_many` with other numbers of sources and targets")
def _() -> None:
    graph = GraphDefinition()
    made = graph.add_many(lambda x: x, 3)
    graph.connect_many(made, "result", made[:2], "x")


@row("`max_workers=0`")
def _() -> None:
    ExecutionEngine(max_workers=0)


@row("a misspelt failure policy")
def _() -> None:
    ExecutionEngine(failure_policy="fail-fast")  # type: ignore[arg-type]


@row("`retain` with another word")
def _() -> None:
    ExecutionEngine(retain="everything")


@row("`retain` with one operation instead of a list")
def _() -> None:
    run_one(Load(), retain=Load())


@row("no attempts")
def _() -> None:
    RetryPolicy(max_attempts=0)


@row("a negative delay")
def _() -> None:
    RetryPolicy(delay_seconds=-1)


@row("a name where an exception class belongs")
def _() -> None:
    RetryPolicy(retry_on="OSError")  # type: ignore[arg-type]


@row("a fallback value of the wrong type")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Load(on_failure="none"))
    graph.compile()


@row("a fallback with other inputs than what it stands in for")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Load(on_failure=Clean()))
    graph.compile()


@row("a class as a fallback")
def _() -> None:
    graph = GraphDefinition("etl")
    graph.add(Load(on_failure=Load))
    graph.compile()


@row("`on_failure` of a run with another word")
def _() -> None:
    ExecutionEngine(on_failure="undo")  # type: ignore[arg-type]


@row("a number where a retry policy belongs")
def _() -> None:
    Load(retry_policy=3)  # type: ignore[arg-type]


@row("a dict where the context belongs")
def _() -> None:
    run_one(Load(), context={"run_id": "monday"})


@row("an operation where the graph belongs")
def _() -> None:
    ExecutionEngine().run(Load())  # type: ignore[arg-type]


@row("a log level that does not exist")
def _() -> None:
    ExecutionContext(log_level="INFOS")


@row("a deadline that is over at once")
def _() -> None:
    ExecutionEngine().run(GraphDefinition(), deadline_seconds=0)


@row("a time limit that is over at once")
def _() -> None:
    Load(timeout_seconds=0)


@row("a subscriber that cannot be called")
def _() -> None:
    ExecutionEngine().subscribe([])  # type: ignore[arg-type]


@row("an event given by its name")
def _() -> None:
    ExecutionEngine().subscribe(print, "OperationFailed")  # type: ignore[arg-type]


@row("a value for a fingerprint that no other process can have")
def _() -> None:
    from execution_dataflow.fingerprinting import value_digest

    value_digest({"rows": (row for row in range(3))})

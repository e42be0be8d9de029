"""What type checkers have to find: each line marked with `wrong` has one mistake, and no other line has any."""

from __future__ import annotations

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


class Clean(Operation):
    raw = InputPort(bytes)
    text: OutputPort[str] = OutputPort(str)

    def execute(self, context: ExecutionContext) -> None:
        number: int = self.raw  # wrong
        self.text = number  # wrong
        self.text = self.raw.decode()


@operation
def load(path: str) -> bytes:
    return path.encode()


load(3)  # wrong
load(nothing="here")  # wrong

graph = GraphDefinition()
source = graph.add(load, path="hello")
value: str = ExecutionEngine().run(graph).get_output(source)  # wrong
GraphDefinition(contracts="value")  # wrong

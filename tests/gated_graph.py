"""A small graph, and one whose first operation waits until it is let through."""

from __future__ import annotations

import threading

from patience import await_event

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    Operation,
    operation,
)


@operation
def follow(value: object = None) -> object:
    return value


def simple() -> tuple[GraphDefinition, Operation]:
    graph = GraphDefinition("simple")
    return graph, graph.add(follow, value=graph.add(follow, value=42))


class Gate:
    """A graph whose first operation waits until it is let through."""

    def __init__(self) -> None:
        self.running, self.open = threading.Event(), threading.Event()
        self.graph = GraphDefinition("gated")

        @operation
        def gate(context: ExecutionContext) -> str:
            context.progress(0.25, "waiting")
            self.running.set()
            await_event(self.open)
            return "through"

        self.head = self.graph.add(gate)
        self.tail = self.graph.add(follow, value=self.head)

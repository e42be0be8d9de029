"""What an engine has to do to be measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kernels import Kernel
from shapes import Shape, is_join, sinks


class Unsupported(Exception):
    """The engine cannot do this; the text says why and is shown in the table."""


@dataclass(frozen=True)
class Work:
    """A shape with a kernel in each node."""

    shape: Shape
    kernel: Kernel

    def function(self, node: int) -> Callable[..., Any]:
        """Return what a node calls: with its inputs one by one, or with a list of them if it joins."""
        taken = self.shape[node]
        return self.kernel.of_list if is_join(taken) else self.kernel.of_inputs[len(taken)]

    def sinks(self) -> list[int]:
        return sinks(self.shape)

    def levels(self) -> list[list[int]]:
        """Return the nodes by the length of the longest path to them."""
        depth: list[int] = []
        for taken in self.shape:
            depth.append(1 + max((depth[source] for source in taken), default=-1))
        levels: list[list[int]] = [[] for _ in range(max(depth) + 1)]
        for node, level in enumerate(depth):
            levels[level].append(node)
        return levels


class Run(Protocol):
    """A graph that is ready to run, any number of times."""

    def run(self) -> None:
        """Run it, until every value of a sink exists somewhere. This is what is timed."""

    def values(self) -> list[Any]:
        """Return the values of the sinks of the last run, in the order of `Work.sinks`."""


class Engine(Protocol):
    """Something that runs graphs; made once, it keeps its workers until it is closed."""

    def prepare(self, work: Work) -> Run:
        """Build and compile a graph. Not timed."""

    def close(self) -> None:
        """End the workers."""

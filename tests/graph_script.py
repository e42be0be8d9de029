"""A random graph as plain data: what each operation takes, gives and does on each attempt. No engine in sight."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

ALWAYS = math.inf
# The index of the operation that stands in for one, as its values know it.
STAND_IN = 1_000_000
DEFAULT = 7_000_003
_PRIME = 2**61 - 1


@dataclass(frozen=True)
class Upstream:
    """One output of an earlier operation."""

    node: int
    port: int


@dataclass(frozen=True)
class Fixed:
    """A constant."""

    value: int


@dataclass
class InputScript:
    """An input: ``required``, ``optional`` (None), ``default`` (DEFAULT), ``many`` or ``many_optional``."""

    kind: str
    sources: list[Upstream | Fixed] = field(default_factory=list)

    @property
    def is_many(self) -> bool:
        return self.kind.startswith("many")


@dataclass
class NodeScript:
    """What one operation is and does."""

    index: int
    kind: str = "function"  # or "class", each also with the prefix "async_"
    inputs: list[InputScript] = field(default_factory=list)
    optional_outputs: list[bool] = field(default_factory=lambda: [False])
    unset: frozenset[int] = frozenset()  # optional outputs that a success leaves unset
    after: list[int] = field(default_factory=list)  # order-only
    failing_attempts: float = 0
    failure: str = "flaky"  # "hopeless": the policy gives up on it; "contract": a required output stays unset
    max_attempts: int = 1
    delay_seconds: float = 0.0
    always_run: bool = False
    fallback: str | None = None  # what stands in when it has failed: "value", or "operation" for a class

    @property
    def is_async(self) -> bool:
        return self.kind.startswith("async_")

    @property
    def is_class(self) -> bool:
        return self.kind.endswith("class")

    @property
    def fallback_values(self) -> dict[int, int]:
        """The values that stand in for its outputs; an only output always has one."""
        ports = range(len(self.optional_outputs))
        given = ports if len(ports) == 1 else [port for port in ports if port not in self.unset]
        return {port: compute(self.index + STAND_IN, port, []) for port in given}

    def fails_on(self, attempt: int) -> bool:
        return attempt <= self.failing_attempts


@dataclass
class GraphScript:
    """The nodes; an index is lower than those of the nodes that depend on it."""

    nodes: list[NodeScript]
    # Whether operations are added in another order than that of their dependencies, and connected afterwards.
    adding_order: list[int] | None = None

    def predecessors(self, index: int) -> set[int]:
        node = self.nodes[index]
        data = {s.node for entry in node.inputs for s in entry.sources if isinstance(s, Upstream)}
        return data | set(node.after)

    def consumed(self) -> set[tuple[int, int]]:
        """The outputs that some input is connected to."""
        sources = (s for node in self.nodes for entry in node.inputs for s in entry.sources)
        return {(source.node, source.port) for source in sources if isinstance(source, Upstream)}


def compute(index: int, port: int, inputs: list[object]) -> int:
    """The value of an output: any other input, order or node gives another one."""
    value = index * 31 + port + 1
    for given in inputs:
        items = [len(given), *given] if isinstance(given, list | tuple) else [given]
        for item in items:
            value = (value * 1_000_003 + (11 if item is None else int(item) + 17)) % _PRIME  # type: ignore[call-overload]
    return value


def random_script(random: Random, size: int) -> GraphScript:
    """A graph of `size` operations with all that graphs may have."""
    # One of these per graph, so that some graphs fail a lot, some never, some are chains and some are wide.
    failure_rate = random.choice([0.0, 0.0, 0.02, 0.1, 0.3])
    retry_rate = random.choice([0.0, 0.2, 0.5])
    async_rate = random.choice([0.0, 0.0, 0.1, 0.5])
    always_rate = random.choice([0.0, 0.0, 0.05, 0.3])
    reach = random.choice([2, 5, 20, size])
    nodes: list[NodeScript] = []
    for index in range(size):
        nodes.append(_random_node(random, nodes, index, reach, failure_rate, retry_rate, async_rate, always_rate))
    adding_order = None
    if random.random() < 0.5:
        adding_order = list(range(size))
        random.shuffle(adding_order)
    return GraphScript(nodes, adding_order)


def _random_node(
    random: Random,
    nodes: list[NodeScript],
    index: int,
    reach: int,
    failure_rate: float,
    retry_rate: float,
    async_rate: float,
    always_rate: float,
) -> NodeScript:
    is_class = random.random() < 0.6
    kind = ("async_" if random.random() < async_rate else "") + ("class" if is_class else "function")
    node = NodeScript(index, kind)

    def source() -> Upstream | Fixed:
        if not nodes or random.random() < 0.1:
            return Fixed(random.randrange(1000))
        before = nodes[random.randrange(max(0, index - reach), index)]
        return Upstream(before.index, random.randrange(len(before.optional_outputs)))

    if is_class:
        for _ in range(random.randrange(4)):
            node.inputs.append(_random_class_input(random, nodes, index, reach, source))
        node.optional_outputs = [random.random() < 0.3 for _ in range(random.choice([1, 1, 2, 3]))]
        optional = [port for port, optional in enumerate(node.optional_outputs) if optional]
        node.unset = frozenset(port for port in optional if random.random() < 0.5)
    else:
        node.inputs = [InputScript("required", [source()]) for _ in range(random.randrange(4))]
        node.inputs.append(InputScript("default", [source()] if random.random() < 0.3 else []))
        node.optional_outputs = [False] * random.choice([1, 1, 2])
    if nodes and random.random() < 0.1:
        node.after = [random.randrange(max(0, index - reach), index)]
    if random.random() < retry_rate:
        node.max_attempts = random.choice([2, 3])
        node.delay_seconds = random.choice([0.0, 0.0, 0.0005])
        node.failing_attempts = random.choice([0, 0, 1, 2])
    if random.random() < failure_rate:
        node.failing_attempts = ALWAYS
        node.failure = random.choice(["flaky", "hopeless"])
        if is_class and not all(node.optional_outputs) and random.random() < 0.33:
            node.failure = "contract"
    node.always_run = random.random() < always_rate
    if random.random() < 0.15:
        node.fallback = random.choice(["value", "operation"]) if is_class else "value"
        if node.fallback == "value" and len(node.optional_outputs) == 1:
            node.unset = frozenset()
    return node


def _random_class_input(random: Random, nodes: list[NodeScript], index: int, reach: int, source: object) -> InputScript:
    kind = random.choice(["required", "required", "optional", "default", "many", "many_optional"])
    if kind.startswith("many"):
        most = 4 if nodes else 0
        if not most:
            kind = "many_optional"
        count = random.randrange(0 if kind == "many_optional" else 1, most + 1) if most else 0
        sources: list[Upstream | Fixed] = []
        for _ in range(count):
            before = nodes[random.randrange(max(0, index - reach), index)]
            sources.append(Upstream(before.index, random.randrange(len(before.optional_outputs))))
        return InputScript(kind, sources)
    if kind != "required" and random.random() < 0.3:
        return InputScript(kind)
    return InputScript(kind, [source()])  # type: ignore[operator]

"""The answer of ``plan.explain()``, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

__all__ = [
    "BranchFacts",
    "DurationSource",
    "Explanation",
    "LimitFacts",
    "MapFacts",
    "MemoryFacts",
    "PlaceFacts",
    "TypeFlow",
    "WorkFacts",
]

DurationSource: TypeAlias = Literal["operations", "seen", "result"]
"""Where durations are from: none, every operation counts as one; earlier runs of these kinds; a result."""

# As many names of a long path are put into a dictionary.
_NAMED = 100


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """How much is to be done, and how much of it at the same time.

    Parameters
    ----------
    source : {"operations", "seen", "result"}
        Where durations are from. ``"operations"``: nowhere, and `work` and `span` count operations.
    timed : int
        Of how many operations the duration is known; the others count as the mean of these.
    work : float
        What one worker needs for everything, in seconds.
    span : float
        What the critical path takes, which no number of workers makes shorter, in seconds.
    workers : int or None
        How many workers there are.
    """

    source: DurationSource
    timed: int
    work: float
    span: float
    workers: int | None = None

    @property
    def parallelism(self) -> float:
        """Work over span: with more workers than this nothing becomes faster."""
        return self.work / self.span if self.span else 0.0

    @property
    def least(self) -> float | None:
        """What the workers need at least: their share of the work, or the span."""
        return None if self.workers is None else max(self.work / self.workers, self.span)

    @property
    def most(self) -> float | None:
        """What they need at most if none idles while there is something to do (Graham 1969)."""
        return None if self.workers is None else (self.work - self.span) / self.workers + self.span


@dataclass(frozen=True, slots=True)
class MemoryFacts:
    """What the values between operations hold, along the planned order of one worker.

    Parameters
    ----------
    peak_bytes : int or None
        The most at any moment, of the outputs whose sizes are known; ``None`` where no size is known.
    peak_operation : str or None
        The operation whose outputs make it so much.
    kept_bytes : int
        How much of what is known is still there at the end, since nothing reads it.
    known_outputs, unknown_outputs : int
        Of how many outputs the size is known, and of how many it is not.
    most_values : int
        The most values at a time, whatever their sizes.
    """

    peak_bytes: int | None
    peak_operation: str | None
    kept_bytes: int
    known_outputs: int
    unknown_outputs: int
    most_values: int


@dataclass(frozen=True, slots=True)
class TypeFlow:
    """Channels of one kind: from an output of one kind of operation to an input of another.

    Parameters
    ----------
    source, target : str
        The ports, as ``kind.port``.
    source_type, target_type : str
        Their types.
    count : int
        How many channels.
    """

    source: str
    target: str
    source_type: str
    target_type: str
    count: int


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """Where operations of one kind run.

    Parameters
    ----------
    kind : str
        Their class or function.
    place : {"thread", "process", "async", "inline"}
        On a worker thread, in a worker process, on the event loop, or on the calling thread.
    reason : str
        Why there.
    count : int
        How many operations.
    """

    kind: str
    place: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class LimitFacts:
    """What holds operations of one kind back, or ends them.

    Parameters
    ----------
    kind : str
        Their class or function.
    limits : tuple of str
        Each in a few words.
    count : int
        How many operations.
    """

    kind: str
    limits: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class BranchFacts:
    """Optional outputs of one kind of operation: what they feed is skipped where they are not set.

    Parameters
    ----------
    kind : str
        The class or function.
    output : str
        The output.
    operations : tuple of str
        The operations that have it; the first few of them.
    count : int
        How many there are.
    """

    kind: str
    output: str
    operations: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class MapFacts:
    """A kind of map.

    Parameters
    ----------
    kind : str
        What runs for each item.
    over : tuple of str
        The inputs that give one element to each item.
    max_concurrency : int or None
        How many items may be under way at a time.
    operations : tuple of str
        The maps; the first few of them.
    count : int
        How many there are.
    """

    kind: str
    over: tuple[str, ...]
    max_concurrency: int | None
    operations: tuple[str, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a plan before it runs; ``str()`` of it is a page to read.

    Parameters
    ----------
    graph : str
        The name of the graph.
    operations, channels, dependencies : int
        How many there are; dependencies are those without data.
    levels : tuple of int
        How many operations lie on each level: what is before it on the longest path.
    critical_path : tuple of str
        The operations of the path that takes longest.
    gates : int
        How many operations a worker takes up only when it has nothing else of its own: those that wait for nothing,
        and those that would fill the memory early.
    work : WorkFacts
        Work, span and parallelism.
    memory : MemoryFacts
        What values hold.
    types : tuple of TypeFlow
        The kinds of channels.
    places : tuple of PlaceFacts
        Where operations run.
    limits : tuple of LimitFacts
        Resources, rates, time limits, retries, fallbacks.
    branches : tuple of BranchFacts
        Optional outputs.
    maps : tuple of MapFacts
        Maps.
    """

    graph: str
    operations: int
    channels: int
    dependencies: int
    levels: tuple[int, ...]
    critical_path: Sequence[str]
    gates: int
    work: WorkFacts
    memory: MemoryFacts
    types: tuple[TypeFlow, ...] = ()
    places: tuple[PlaceFacts, ...] = ()
    limits: tuple[LimitFacts, ...] = ()
    branches: tuple[BranchFacts, ...] = ()
    maps: tuple[MapFacts, ...] = ()

    @property
    def depth(self) -> int:
        """How many levels there are."""
        return len(self.levels)

    @property
    def width(self) -> int:
        """How many operations lie on the widest level."""
        return max(self.levels, default=0)

    @property
    def parallelism(self) -> float:
        """Work over span: with more workers than this nothing becomes faster."""
        return self.work.parallelism

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in the types of JSON.

        Returns
        -------
        dict
            Of a long critical path the first hundred names, beside its length.
        """
        facts = asdict(self)
        facts["levels"] = list(self.levels)
        facts["critical_path"] = list(self.critical_path[:_NAMED])
        facts["critical_path_length"] = len(self.critical_path)
        facts |= {"depth": self.depth, "width": self.width}
        facts["work"] |= {"parallelism": self.parallelism, "least": self.work.least, "most": self.work.most}
        plain: dict[str, Any] = _plain(facts)
        return plain

    def __str__(self) -> str:
        from execution_dataflow.explanation.text import explanation_text

        return explanation_text(self)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

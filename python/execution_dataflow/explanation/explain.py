"""How an explanation is worked out: a few passes of the native core, and one look at each kind of operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.explanation.answer import Explanation
from execution_dataflow.explanation.durations import work_and_path
from execution_dataflow.explanation.facts import (
    BranchFacts,
    LimitFacts,
    MapFacts,
    PlaceFacts,
    TypeFlow,
)
from execution_dataflow.explanation.memory import memory_along
from execution_dataflow.explanation.placement import limits_of, place_of
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation
from execution_dataflow.signatures import describe_type
from execution_dataflow.wiring import CompiledGraph

__all__ = ["EngineFacts", "ExplainedGraph", "explain"]

_NAMED = 5


class ExplainedGraph(CompiledGraph, Protocol):
    """What a plan has, as far as it is explained."""

    @property
    def specs(self) -> tuple[_core.NodeSpec, ...]:
        """The different kinds of node."""

    @property
    def spec_of(self) -> Sequence[int]:
        """For each operation, the index of its spec."""


class EngineFacts(Protocol):
    """What an engine says of itself."""

    @property
    def max_workers(self) -> int:
        """How many operations of one run may run at the same time."""

    @property
    def executor(self) -> str | None:
        """Where operations run that do not say so themselves."""

    @property
    def resources(self) -> Mapping[str, float]:
        """How much there is of each resource."""


class MeasuredRun(Protocol):
    """What a result says of durations and sizes."""

    @property
    def timings(self) -> Sequence[Any]:
        """The timings of the operations that ran."""

    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the values that were kept, by operation and by output."""


def explain(
    plan: ExplainedGraph,
    result: MeasuredRun | None = None,
    *,
    engine: EngineFacts | None = None,
    executor: str | None = None,
    max_workers: int | None = None,
) -> Explanation:
    """Return what is known of a plan; the options are those of ``Plan.explain``."""
    if result is not None and not hasattr(result, "timings"):
        raise TypeError(f"explain() takes the ExecutionResult of an earlier run, not {result!r}")
    if executor not in (None, "thread", "process", "inline"):
        raise ValueError(f"executor={executor!r} is not possible: 'thread', 'process', 'inline' or None")
    if max_workers is not None and (isinstance(max_workers, bool) or not isinstance(max_workers, int)):
        raise TypeError(f"max_workers is an int, not {max_workers!r}")
    if max_workers is not None and max_workers < 1:
        raise ValueError(f"max_workers={max_workers} is not possible: a run has 1 worker or more")
    resources: Mapping[str, float] | None = None
    if engine is not None:
        executor = executor or getattr(engine, "executor", None)
        max_workers = max_workers or getattr(engine, "max_workers", None)
        resources = getattr(engine, "resources", None)
    survey = _core.Survey(plan.core)
    spec_of = plan.spec_of
    counts = Counter(spec_of)
    firsts = _first_of_each(spec_of)
    kinds = [_kind(plan.operations[firsts[spec]]) if spec in firsts else "" for spec in range(len(plan.specs))]
    per_level = Counter(survey.levels())
    channels, dependencies = survey.edge_counts()
    work, path = work_and_path(survey, plan, result, max_workers)
    samples = [(plan.operations[node], kinds[spec], counts[spec], spec) for spec, node in firsts.items()]
    return Explanation(
        graph=plan.name,
        operations=len(plan.operations),
        channels=channels,
        dependencies=dependencies,
        levels=tuple(per_level[level] for level in range(len(per_level))),
        critical_path=tuple(plan.names[node] for node in path),
        gates=len(plan.core.gates()),
        work=work,
        memory=memory_along(survey, plan, result),
        types=_types(survey, plan, spec_of, firsts, kinds),
        places=_summed_places(samples, executor),
        limits=_summed_limits(samples, resources),
        branches=_branches(plan, samples, spec_of),
        maps=_maps(plan, samples, spec_of),
    )


def _first_of_each(spec_of: Sequence[int]) -> dict[int, int]:
    firsts: dict[int, int] = {}
    for node, spec in enumerate(spec_of):
        firsts.setdefault(spec, node)
    return firsts


def _kind(operation: Operation) -> str:
    return operation._implicit_name()


def _types(
    survey: _core.Survey, plan: ExplainedGraph, spec_of: Sequence[int], firsts: Mapping[int, int], kinds: Sequence[str]
) -> tuple[TypeFlow, ...]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for (source, output, target, into), count in survey.channel_kinds(spec_of):
        out_ports = plan.operations[firsts[source]].ports
        in_ports = plan.operations[firsts[target]].ports
        flow = (
            f"{kinds[source]}.{out_ports.outputs[output][0]}",
            f"{kinds[target]}.{in_ports.inputs[into][0]}",
            describe_type(out_ports.output_types[output]),
            describe_type(in_ports.input_types[into]),
        )
        found[flow] += count
    return tuple(TypeFlow(*flow, count) for flow, count in found.most_common())


_Samples = Sequence[tuple[Operation, str, int, int]]


def _summed_places(samples: _Samples, executor: str | None) -> tuple[PlaceFacts, ...]:
    found: Counter[tuple[str, str, str]] = Counter()
    for operation, kind, count, _ in samples:
        found[(kind, *place_of(operation, executor))] += count
    return tuple(PlaceFacts(*facts, count) for facts, count in found.most_common())


def _summed_limits(samples: _Samples, resources: Mapping[str, float] | None) -> tuple[LimitFacts, ...]:
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for operation, kind, count, _ in samples:
        limits = limits_of(operation, resources)
        if limits:
            found[(kind, limits)] += count
    return tuple(LimitFacts(*facts, count) for facts, count in found.most_common())


def _branches(plan: ExplainedGraph, samples: _Samples, spec_of: Sequence[int]) -> tuple[BranchFacts, ...]:
    branching = {
        spec: [(kind, name) for name, port in operation.ports.outputs if port.optional]
        for operation, kind, _, spec in samples
    }
    names = _named(plan, spec_of, {spec for spec, outputs in branching.items() if outputs})
    counts = {spec: count for _, _, count, spec in samples}
    return tuple(
        BranchFacts(kind, output, tuple(names[spec]), counts[spec])
        for spec, outputs in branching.items()
        for kind, output in outputs
    )


def _maps(plan: ExplainedGraph, samples: _Samples, spec_of: Sequence[int]) -> tuple[MapFacts, ...]:
    mapping = {spec: operation for operation, _, _, spec in samples if isinstance(operation, MappedOperation)}
    names = _named(plan, spec_of, mapping)
    counts = {spec: count for _, _, count, spec in samples}
    return tuple(
        MapFacts(_kind(operation.item), operation.over, operation.max_concurrency, tuple(names[spec]), counts[spec])
        for spec, operation in mapping.items()
    )


def _named(plan: ExplainedGraph, spec_of: Sequence[int], specs: Iterable[int]) -> dict[int, list[str]]:
    """Return the first few operations of some specs."""
    named: dict[int, list[str]] = {spec: [] for spec in specs}
    if named:
        for node, spec in enumerate(spec_of):
            names = named.get(spec)
            if names is not None and len(names) < _NAMED:
                names.append(plan.names[node])
    return named

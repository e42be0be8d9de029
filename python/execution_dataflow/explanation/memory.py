"""How much memory the values of a plan hold, from what is known of their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.explanation.facts import MemoryFacts
from execution_dataflow.operations import Operation
from execution_dataflow.sizes import size_of

__all__ = ["memory_along"]


class _Sized(Protocol):
    @property
    def operations(self) -> tuple[Operation, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def specs(self) -> tuple[_core.NodeSpec, ...]: ...
    @property
    def spec_of(self) -> Sequence[int]: ...


class _Outputs(Protocol):
    def outputs(self) -> Mapping[str, Mapping[str, Any]]: ...


def memory_along(survey: _core.Survey, plan: _Sized, result: _Outputs | None) -> MemoryFacts:
    """Return what values hold at most: as measured in a result, as declared, or as seen under a memory limit.

    Of an operation with several outputs, what was declared or seen is spread over them evenly.
    """
    measured = {} if result is None else result.outputs()
    by_spec = [_expected(spec) for spec in plan.specs]
    sizes: list[int] = []
    known = 0
    for node, spec in enumerate(plan.spec_of):
        expected = by_spec[spec]
        values = measured.get(plan.names[node]) if measured else None
        if values is None:
            sizes += [size or 0 for size in expected]
            known += len(expected) if expected and expected[0] is not None else 0
            continue
        for name, size in zip(plan.specs[spec].output_names, expected, strict=True):
            actual = size_of(values[name]) if name in values else size
            sizes.append(actual or 0)
            known += actual is not None
    peak, node, values_at_peak = survey.peak(sizes)
    kept = sum(size for size, readers in zip(sizes, survey.consumer_counts(), strict=True) if not readers)
    return MemoryFacts(
        peak_bytes=peak if known else None,
        peak_operation=plan.names[node] if node >= 0 else None,
        kept_bytes=kept,
        known_outputs=known,
        unknown_outputs=len(sizes) - known,
        most_values=values_at_peak,
    )


def _expected(spec: _core.NodeSpec) -> list[int | None]:
    count, total = len(spec.output_names), spec.expected_bytes
    if total is None or not count:
        return [None] * count
    share, rest = divmod(total, count)
    return [share + (index < rest) for index in range(count)]

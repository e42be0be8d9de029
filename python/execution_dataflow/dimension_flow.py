"""Named dimensions along a graph: what the operations say that a value comes from."""

from __future__ import annotations

from threading import Lock
from typing import Any, cast

from execution_dataflow.array_rules import Shape
from execution_dataflow.dimension_errors import DimensionConflictError
from execution_dataflow.dimensions import Dimensions, Measure
from execution_dataflow.errors import GraphError
from execution_dataflow.plan import Plan
from execution_dataflow.signatures import array_facts_of_port

__all__ = ["DimensionFlow", "dimension_faults"]

_Known = dict[str, tuple[Measure, ...]]
_UNREAD: Any = object()


class DimensionFlow:
    """The lengths of named dimensions in one run, by the operations that have ended.

    What an operation has to agree with is what lies before it: that has ended when it begins, so that the answer does
    not depend on what happened to run earlier.

    Parameters
    ----------
    plan : Plan
        What runs.
    """

    def __init__(self, plan: Plan) -> None:
        self._upstream = _upstream_of(plan)
        self._known: dict[int, tuple[int, _Known]] = {}
        self._lock = Lock()

    def before(self, node: int) -> _Known:
        """Return what the operations say that a node has its values from, directly or through others.

        Parameters
        ----------
        node : int
            The node.

        Returns
        -------
        dict of str to tuple of Measure
            For each dimension its length; several where they differ.
        """
        # One that was skipped, or has a value that stands in, says what lies before it. A long row of them is no reason
        # to go as deep.
        waiting = [node]
        while waiting:
            at = waiting[-1]
            missing = [each for each in self._upstream.get(at, ()) if each not in self._known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if at != node and at not in self._known:
                self._keep(at, 0, self._merged(at))
        return self._merged(node)

    def _merged(self, node: int) -> _Known:
        merged: _Known = {}
        for each in self._upstream.get(node, ()):
            known = self._known[each][1]
            if not merged:
                merged = known
                continue
            if known is merged:
                continue
            merged = dict(merged)
            for name, seen in known.items():
                have = merged.get(name, ())
                lengths = {measure.length for measure in have}
                merged[name] = (*have, *(measure for measure in seen if measure.length not in lengths))
        return merged

    def note(self, node: int, attempt: int, found: dict[str, Measure]) -> None:
        """Keep what an operation has set, unless a later attempt has done so.

        Parameters
        ----------
        node, attempt : int
            Which attempt it was.
        found : dict of str to Measure
            What it has of dimensions that others have too.
        """
        known = self.before(node)
        new = {name: (measure,) for name, measure in found.items() if name not in known}
        self._keep(node, attempt, {**known, **new} if new else known)

    def _keep(self, node: int, attempt: int, known: _Known) -> None:
        with self._lock:
            if node not in self._known or self._known[node][0] <= attempt:
                self._known[node] = attempt, known


def _upstream_of(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Return for each node with named dimensions the nearest ones before it; kept with the plan."""
    if plan.dimension_sources is None:
        nothing: tuple[int, ...] = ()
        # Of a node without names: the nearest nodes with names before it, the same object for many of them.
        passed: list[tuple[int, ...]] = [nothing] * len(plan)
        same: dict[tuple[int, ...], tuple[int, ...]] = {nothing: nothing}
        upstream: dict[int, tuple[int, ...]] = {}
        core, specs, spec_of = plan.core, plan.specs, plan.spec_of
        for node in core.order():
            parts = {id(part := passed[source]): part for feeds in core.feeders(node) for source, _ in feeds}
            if len(parts) <= 1:
                before = next(iter(parts.values()), nothing)
            else:
                joined = tuple(dict.fromkeys(each for part in parts.values() for each in part))
                before = same.setdefault(joined, joined)
            if specs[spec_of[node]].dimensions is None:
                passed[node] = before
            else:
                upstream[node] = before
                passed[node] = (node,)
        plan.dimension_sources = upstream
    return plan.dimension_sources


def dimension_faults(plan: Plan) -> list[GraphError]:
    """Return the named dimensions that would have to have two lengths, as far as ports say numbers.

    Parameters
    ----------
    plan : Plan
        What is to run.

    Returns
    -------
    list of GraphError
        A fault for each of them.
    """
    if all(spec.dimensions is None for spec in plan.specs):
        return []
    fixed: dict[int, dict[str, list[Measure]]] = {}
    shapes: dict[int, Shape | None] = {}
    for node in range(len(plan)):
        for into, feeds in enumerate(plan.core.feeders(node)):
            for source, output in feeds:
                _fix(plan, (source, output), (node, into), fixed, shapes)
    flow, faults, told = DimensionFlow(plan), [], set()
    for node in plan.core.order():
        if not isinstance(plan.specs[plan.spec_of[node]].dimensions, Dimensions):
            continue
        found: dict[str, Measure] = {}
        before = flow.before(node)
        for name, measures in fixed.get(node, {}).items():
            others = () if name.startswith("_") else before.get(name, ())
            for measure in measures:
                known = found.setdefault(name, measure)
                differing = next((other for other in (known, *others) if other.length != measure.length), None)
                if differing is not None and (name, differing, measure) not in told:
                    told.add((name, differing, measure))
                    faults.append(_fault(name, differing, measure))
        flow.note(node, 1, {name: measure for name, measure in found.items() if not name.startswith("_")})
    return list(faults)


def _shape_of(port: Any, shapes: dict[int, Shape | None]) -> Shape | None:
    """Return the shape that a port declares; `shapes` keeps it by the identity of the port, of which many share one."""
    known = shapes.get(id(port), _UNREAD)
    if known is _UNREAD:
        known = shapes[id(port)] = array_facts_of_port(port)[1]
    return cast("Shape | None", known)


def _fix(
    plan: Plan,
    source: tuple[int, int],
    target: tuple[int, int],
    fixed: dict[int, dict[str, list[Measure]]],
    shapes: dict[int, Shape | None],
) -> None:
    """Note what a channel says of the names at one end by the numbers at the other."""
    (node, output), (other, into) = source, target
    name, port = plan.operations[node].ports.outputs[output]
    other_name, other_port = plan.operations[other].ports.inputs[into]
    ours, theirs = _shape_of(port, shapes), _shape_of(other_port, shapes)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return
    for mine, wanted in zip(ours, theirs, strict=True):
        if isinstance(wanted, str) and type(mine) is int:
            place = f"{plan.label(node)}.{name}"
            fixed.setdefault(other, {}).setdefault(wanted, []).append(Measure(mine, place))
        elif isinstance(mine, str) and type(wanted) is int:
            place = f"{plan.label(other)}.{other_name}"
            fixed.setdefault(node, {}).setdefault(mine, []).append(Measure(wanted, place))


def _fault(name: str, one: Measure, other: Measure) -> DimensionConflictError:
    return DimensionConflictError(
        f"the dimension {name!r} would have to be {one.length} because of {one.place} and {other.length} because of "
        f"{other.place}; give what differs another name",
        dimension=name,
        lengths=(one.length, other.length),
        places=(one.place, other.place),
    )

"""From a graph, and what became of it, to a picture: boxes with their texts, and arrows with theirs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from execution_dataflow.drawing.collapse import Group, Grouping, group_operations, kind_label, summed_kinds
from execution_dataflow.drawing.labels import clipped, label_lines, printable
from execution_dataflow.drawing.outcomes import Outcomes, outcome_lines, weightiest
from execution_dataflow.drawing.picture import Arrow, Box, Frame, Picture, Shape
from execution_dataflow.errors import CycleError, UnconnectedInputError
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation
from execution_dataflow.parameters import is_coroutine_function
from execution_dataflow.quantities import counted, duration_text
from execution_dataflow.signatures import describe_type
from execution_dataflow.wiring import Bundle, Feed, Wiring, levels_of

__all__ = ["depict"]

# Beyond this, and four for each box, arrows are left out beside a path of others.
_MOST_ARROWS = 60
# As many channels of a pair of operations are named in full.
_NAMED_CHANNELS = 12


def depict(wiring: Wiring, *, depth: int | None, limit: int, outcomes: Outcomes | None = None) -> Picture:
    """Return the picture of a graph.

    Parameters
    ----------
    wiring : Wiring
        The graph.
    depth : int or None
        How deep nested graphs are opened.
    limit : int
        The largest number of boxes.
    outcomes : Outcomes, optional
        What a run of it came to.

    Returns
    -------
    Picture
        Every operation is in one of its boxes.
    """
    grouping = group_operations(wiring, depth, limit)
    frames, frame_of = _frames(grouping.groups)
    missing = _missing_inputs(wiring)
    boxes = [_box(wiring, group, frame_of.get(group.path, -1), missing, outcomes) for group in grouping.groups]
    bundles = wiring.quotient(grouping.group_of)
    shown = _without_implied(len(boxes), bundles) if len(bundles) > _MOST_ARROWS + 4 * len(boxes) else bundles
    arrows = _arrows(wiring, grouping, shown)
    notes = [printable(str(fault)) for fault in wiring.faults[:_NAMED_CHANNELS]]
    if len(shown) < len(bundles):
        notes.insert(0, f"{counted(len(bundles) - len(shown), 'arrow')} left out, between boxes that others connect")
    if len(boxes) < len(wiring):
        notes.insert(0, f"{counted(len(wiring), 'operation')}, drawn as {counted(len(boxes), 'box', 'boxes')}")
    legend = outcomes.counts() if outcomes is not None else ()
    return Picture(
        title=printable(wiring.name),
        description=_description(wiring, boxes, arrows, outcomes),
        boxes=boxes,
        arrows=arrows,
        frames=frames,
        legend=legend,
        notes=notes,
    )


def _description(wiring: Wiring, boxes: Sequence[Box], arrows: Sequence[Arrow], outcomes: Outcomes | None) -> str:
    text = f"A graph of {counted(len(wiring), 'operation')}"
    if len(boxes) < len(wiring):
        text += f", drawn as {counted(len(boxes), 'box', 'boxes')}"
    text += f", with {counted(len(arrows), 'arrow')} between them."
    if wiring.faults:
        text += f" It has {counted(len(wiring.faults), 'fault')} and cannot run."
    if outcomes is not None:
        counts = ", ".join(f"{count:,} {state.name}" for state, count in outcomes.counts())
        text += f" After a run: {counts or 'nothing'}."
    return text


def _frames(groups: Sequence[Group]) -> tuple[list[Frame], dict[tuple[str, ...], int]]:
    frames: list[Frame] = []
    frame_of: dict[tuple[str, ...], int] = {}
    for group in groups:
        for length in range(1, len(group.path) + 1):
            path = group.path[:length]
            if path not in frame_of:
                frame_of[path] = len(frames)
                frames.append(Frame(printable(path[-1]).replace("\n", " ") or " ", frame_of.get(path[:-1], -1)))
    return frames, frame_of


def _missing_inputs(wiring: Wiring) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for fault in wiring.faults:
        if isinstance(fault, UnconnectedInputError) and fault.operation is not None:
            missing.setdefault(fault.operation, []).append(str(fault.port))
    return missing


def _box(wiring: Wiring, group: Group, frame: int, missing: dict[str, list[str]], outcomes: Outcomes | None) -> Box:
    members = group.members
    shape: Shape = group.shape
    # A frame around it says the rest of the name.
    title = group.title[len("/".join(group.path)) + 1 :] if group.path and shape != "group" else group.title
    if shape == "operation":
        name, operation = wiring.names[members[0]], wiring.operations[members[0]]
        details, shape = _details(title, operation), _shape(operation)
        lacks = missing.get(name, [])
        tooltip = _tooltip(name, operation)
    else:
        lacks = []
        details = [counted(len(members), "operation")]
        kinds = summed_kinds(wiring, members)
        if shape == "nested" or kinds != [f"{len(members):,} × {title}"]:
            details += kinds
        tooltip = "\n".join([group.title, *details])
    if lacks:
        details = [*details, f"missing: {', '.join(lacks)}"]
    state = None
    if outcomes is not None:
        lines = outcome_lines(outcomes, members)
        details = [*details, *lines]
        tooltip = "\n".join([tooltip, *lines])
        state = weightiest(outcomes.states[node] for node in members)
    return Box(
        lines=label_lines(title),
        details=tuple(clipped(printable(line).replace("\n", " "), 40) for line in details),
        tooltip=printable(tooltip),
        shape=shape,
        frame=frame,
        count=len(members),
        state=state,
        has_fault=bool(lacks),
    )


def _shape(operation: Operation) -> Shape:
    if isinstance(operation, MappedOperation):
        return "map"
    return "operation" if operation.ports.inputs or not hasattr(operation, "is_required") else "parameter"


def _details(title: str, operation: Operation) -> list[str]:
    kind = kind_label(operation)
    base, _, number = title.rpartition("_")
    lines = [] if kind in (title, base if number.isdigit() else title) else [kind]
    item: Operation = operation
    while isinstance(item, MappedOperation):
        lines.append(f"for each of {', '.join(item.over)}")
        item = item.item
    facts: list[str] = []
    function = getattr(item, "function", None) or item.execute
    if item.executor or is_coroutine_function(function):
        facts.append(item.executor or "async")
    if item.retry_policy is not None and item.retry_policy.max_attempts > 1:
        facts.append(f"{item.retry_policy.max_attempts} attempts")
    if item.timeout_seconds is not None:
        facts.append(f"≤ {duration_text(item.timeout_seconds)}")
    if operation.always_run:
        facts.append("always runs")
    if operation.on_failure is not None:
        facts.append("has a fallback")
    return [*lines, " · ".join(facts)] if facts else lines


def _tooltip(name: str, operation: Operation) -> str:
    ports = operation.ports
    inputs = _typed([port for port, _ in ports.inputs], ports.input_types)
    outputs = _typed([port for port, _ in ports.outputs], ports.output_types)
    lines = [name, f"{kind_label(operation)}({inputs}) -> ({outputs})"]
    if isinstance(operation.description, str) and operation.description:
        lines.append(operation.description)
    return "\n".join(lines)


def _typed(names: Sequence[str], kinds: Sequence[object]) -> str:
    return ", ".join(f"{name}: {describe_type(kind)}" for name, kind in zip(names, kinds, strict=True))


def _arrows(wiring: Wiring, grouping: Grouping, bundles: Sequence[Bundle]) -> list[Arrow]:
    cycles = _pairs_on_cycles(wiring)
    feeds: dict[int, list[Feed]] = {}
    arrows = []
    for bundle in sorted(bundles):
        sources, targets = grouping.groups[bundle.source].members, grouping.groups[bundle.target].members
        label, tooltip, is_fault = "", "", False
        if len(sources) == len(targets) == 1:
            source, target = sources[0], targets[0]
            if target not in feeds:
                feeds[target] = wiring.feeds(target)
            own = [feed for feed in feeds[target] if feed.source == source]
            label, tooltip = _channel_texts(wiring, own, target)
            is_fault = (wiring.names[source], wiring.names[target]) in cycles
        elif bundle.channels > 1:
            label = f"× {bundle.channels:,}"
        if not tooltip:
            parts = [counted(bundle.channels, "channel")] if bundle.channels else []
            parts += [f"{counted(bundle.orders, 'dependency', 'dependencies')} without data"] if bundle.orders else []
            tooltip = ", ".join(parts)
        arrows.append(
            Arrow(bundle.source, bundle.target, label, tooltip, is_order=not bundle.channels, has_fault=is_fault)
        )
    return arrows


def _without_implied(count: int, bundles: Sequence[Bundle]) -> list[Bundle]:
    """Return the transitive reduction: what leads past no other box. What closes a cycle is kept."""
    levels = levels_of(count, [(bundle.source, bundle.target) for bundle in bundles])
    after: list[list[Bundle]] = [[] for _ in range(count)]
    kept = []
    for bundle in bundles:
        if levels[bundle.source] < levels[bundle.target]:
            after[bundle.source].append(bundle)
        else:
            kept.append(bundle)
    # For each box a bit for every box that can be reached.
    reached = [0] * count
    for box in sorted(range(count), key=levels.__getitem__, reverse=True):
        for bundle in sorted(after[box], key=lambda bundle: levels[bundle.target]):
            if not reached[box] >> bundle.target & 1:
                kept.append(bundle)
                reached[box] |= reached[bundle.target] | 1 << bundle.target
    return kept


def _channel_texts(wiring: Wiring, feeds: Sequence[Feed], target: int) -> tuple[str, str]:
    into = wiring.operations[target]
    labels, lines = [], []
    for feed in feeds[:_NAMED_CHANNELS]:
        source = wiring.operations[feed.source]
        output, given = source.ports.outputs[feed.output][0], into.ports.inputs[feed.input][0]
        ends = [output] if len(source.ports.outputs) > 1 else []
        ends += [given] if len(into.ports.inputs) > 1 else []
        labels.append(" → ".join(ends))
        kind = describe_type(source.ports.output_types[feed.output])
        lines.append(f"{wiring.names[feed.source]}.{output} -> {wiring.names[target]}.{given}: {kind}")
    if len(feeds) > _NAMED_CHANNELS:
        lines.append(f"and {len(feeds) - _NAMED_CHANNELS:,} more")
    distinct = list(dict.fromkeys(label for label in labels if label))
    return clipped(", ".join(distinct)), printable("\n".join(lines))


def _pairs_on_cycles(wiring: Wiring) -> set[tuple[str, str]]:
    known = set(wiring.names)
    pairs: set[tuple[str, str]] = set()
    for fault in wiring.faults:
        if isinstance(fault, CycleError):
            # A step is an operation's name, with a port behind it where data flows.
            names = [step if step in known else step.rpartition(".")[0] for step in fault.path]
            pairs.update(pairwise(names))
    return pairs

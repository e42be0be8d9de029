"""What must come of a graph, worked out one operation after the other in plain Python (rules R3 to R6, G5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graph_script import DEFAULT, STAND_IN, Fixed, GraphScript, InputScript, NodeScript, compute

from execution_dataflow import OperationState

SUCCEEDED, FAILED = OperationState.SUCCEEDED, OperationState.FAILED
UPSTREAM_FAILED, SKIPPED, CANCELLED = OperationState.UPSTREAM_FAILED, OperationState.SKIPPED, OperationState.CANCELLED


@dataclass
class Fate:
    """What becomes of one operation when nothing stops the run."""

    state: OperationState
    attempts: int = 0
    blame: int | None = None
    values: dict[int, int] = field(default_factory=dict)
    fell_back: bool = False


def fates(script: GraphScript, position: Sequence[int]) -> list[Fate]:
    """The fate of each node under ``continue``; `position` is where a node stands in the topological order."""
    found: list[Fate] = []
    for node in script.nodes:
        found.append(_fate(script, node, found, position))
    return found


def _fate(script: GraphScript, node: NodeScript, fates: list[Fate], position: Sequence[int]) -> Fate:
    blamed = []
    for before in script.predecessors(node.index):
        if fates[before].state is FAILED:
            blamed.append(before)
        elif fates[before].state is UPSTREAM_FAILED:
            blamed.append(fates[before].blame)
    if blamed and not node.always_run:
        return Fate(UPSTREAM_FAILED, blame=min(blamed, key=lambda index: position[index]))
    inputs: list[object] = []
    for entry in node.inputs:
        arrived = _arrived(entry, fates)
        if not arrived and entry.kind in ("required", "many") and not node.always_run:
            return Fate(SKIPPED)
        if not arrived and entry.kind == "required":
            return Fate(FAILED, 1)  # it reads what is missing, which breaks a contract
        if entry.is_many:
            inputs.append(arrived)
        else:
            inputs.append(arrived[0] if arrived else {"optional": None, "default": DEFAULT}[entry.kind])
    attempts = attempts_of(node)
    ports = range(len(node.optional_outputs))
    if node.fails_on(attempts):
        if node.fallback is None or node.failure == "contract":
            return Fate(FAILED, attempts)
        if node.fallback == "value":
            return Fate(SUCCEEDED, attempts, values=node.fallback_values, fell_back=True)
        values = {p: compute(node.index + STAND_IN, p, inputs) for p in ports if p not in node.unset}
        return Fate(SUCCEEDED, attempts + 1, values=values, fell_back=True)
    return Fate(SUCCEEDED, attempts, values={p: compute(node.index, p, inputs) for p in ports if p not in node.unset})


def attempts_of(node: NodeScript) -> int:
    """How many attempts the node makes when nothing stops the run."""
    if node.failure != "flaky" and node.fails_on(1):
        return 1  # contract errors are never retried, and give_up_on wins
    return min(node.max_attempts, int(min(node.failing_attempts, node.max_attempts)) + 1)


def _arrived(entry: InputScript, fates: list[Fate]) -> list[int]:
    values = []
    for source in entry.sources:
        if isinstance(source, Fixed):
            values.append(source.value)
        elif source.port in fates[source.node].values:
            values.append(fates[source.node].values[source.port])
    return values


def first_failed(fates: Sequence[Fate], position: Sequence[int]) -> int | None:
    """The failed node that comes first in topological order."""
    failed = [index for index, fate in enumerate(fates) if fate.state is FAILED]
    return min(failed, key=lambda index: position[index]) if failed else None


@dataclass
class Observed:
    """What a run came to: by node its state, attempts, blamed node and the values that were kept."""

    states: list[OperationState]
    attempts: list[int]
    blame: list[int | None]
    values: list[dict[int, int]]


def disagreements(script: GraphScript, expected: Sequence[Fate], seen: Observed, *, fail_fast: bool) -> list[str]:
    """What in a run is not as the contract says; nothing under ``continue`` and in success is left to chance."""
    if fail_fast and any(fate.state is FAILED for fate in expected):
        return list(_stopped_disagreements(script, expected, seen))
    found = []
    for index, fate in enumerate(expected):
        got = (seen.states[index], seen.attempts[index], seen.blame[index])
        if got != (fate.state, fate.attempts, fate.blame):
            found.append(f"node {index}: (state, attempts, blame) {got}, expected {fate}")
        found += _wrong_values(index, fate, seen)
    return found


def _wrong_values(index: int, fate: Fate, seen: Observed) -> list[str]:
    kept = seen.values[index]
    return [
        f"node {index} output {port}: {value}, expected {fate.values.get(port)}"
        for port, value in kept.items()
        if fate.values.get(port) != value
    ]


def _stopped_disagreements(script: GraphScript, expected: Sequence[Fate], seen: Observed) -> list[str]:
    """A failure under ``fail_fast`` stops the run at some moment, and what may then be is less, but not anything."""
    found = []
    happened: list[Fate] = []
    for index, (fate, state) in enumerate(zip(expected, seen.states, strict=True)):
        node, attempts = script.nodes[index], seen.attempts[index]
        if node.always_run:
            # It runs whatever happened; what it comes to follows from what happened before it.
            actual = _fate(script, node, happened, range(len(script.nodes)))
            happened.append(actual)
            if (state, attempts) != (actual.state, actual.attempts):
                found.append(f"clean-up {index}: {state.name} on attempt {attempts}, expected {actual}")
            found += _wrong_values(index, actual, seen)
            continue
        happened.append(fate if state is SUCCEEDED else Fate(state, attempts))
        if state is SUCCEEDED:
            if fate.state is not SUCCEEDED or attempts != fate.attempts:
                found.append(f"node {index} succeeded on attempt {attempts}, expected {fate}")
            for before in script.predecessors(index):
                if seen.states[before] not in (SUCCEEDED, SKIPPED):
                    found.append(f"node {index} succeeded after {before}, which is {seen.states[before].name}")
            found += _wrong_values(index, fate, seen)
        elif state is FAILED:
            # What waited for a retry is failed too, so it need not be one that fails in the end.
            could_fail = node.fails_on(attempts) and 1 <= attempts <= fate.attempts
            if fate.state not in (FAILED, SUCCEEDED) or not could_fail:
                found.append(f"node {index} failed on attempt {attempts}, expected {fate}")
        elif state is SKIPPED:
            if fate.state is not SKIPPED:
                found.append(f"node {index} was skipped, expected {fate}")
        elif state is not CANCELLED:
            found.append(f"node {index} is {state.name} under fail_fast")
        if attempts == 0 and state not in (CANCELLED, SKIPPED):
            found.append(f"node {index} never started and is {state.name}")
        if state in (CANCELLED, SKIPPED) and attempts:
            found.append(f"node {index} started and is {state.name}")
    if not any(s is FAILED and f.state is FAILED for s, f in zip(seen.states, expected, strict=True)):
        found.append("nothing failed for good, although something had to")
    return found

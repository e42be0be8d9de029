"""The fingerprints of the operations of a plan, of the items of a map, and of what an operation expands to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from execution_dataflow.fingerprinting.merkle import FINGERPRINT_BYTES, lineages_of
from execution_dataflow.fingerprinting.operation_digests import OperationDigests
from execution_dataflow.fingerprinting.walks import DIGEST_BYTES

if TYPE_CHECKING:
    from execution_dataflow.plan import Plan

__all__ = [
    "FINGERPRINT_BYTES",
    "PlanFingerprints",
    "child_fingerprints",
    "item",
    "plan_fingerprints",
    "what_changed",
]

_PARTS = ("its code", "its configuration", "its inputs")


class PlanFingerprints:
    """What each operation of a plan is computed from; made by `plan_fingerprints`.

    Parameters
    ----------
    plan : Plan
        The plan.
    given : sequence of object
        What the run is given.
    digests : OperationDigests
        What is known of operations already.
    beginning : bytes
        The fingerprint of what the plan runs in the place of; empty for a run.

    Attributes
    ----------
    all : list of bytes or None
        The fingerprint of each operation, by its node.
    """

    def __init__(self, plan: Plan, given: Sequence[object], digests: OperationDigests, beginning: bytes = b"") -> None:
        self._plan = plan
        self._digests = digests
        with digests.lock:
            found = lineages_of(plan, digests.of, digests.value, lambda number: digests.value(given[number]), beginning)
            digests.let_go()
        self.all, self._causes, self._reasons = found

    def of(self, node: int) -> bytes | None:
        """Return the fingerprint of an operation; ``None`` if it has none, for `reason`.

        Parameters
        ----------
        node : int
            Its index in the plan.

        Returns
        -------
        bytes or None
            48 bytes.
        """
        return self.all[node]

    def reason(self, node: int) -> str:
        """Return why an operation has no fingerprint; empty if it has one.

        Parameters
        ----------
        node : int
            Its index in the plan.

        Returns
        -------
        str
            Of an operation that follows one without, the name of that one, and why that has none.
        """
        cause = self._causes.get(node)
        if cause is None:
            return ""
        why = self._reasons[cause]
        return why if cause == node else f"it follows {self._plan.label(cause)!r}, which cannot be fingerprinted: {why}"

    def lineage(self, node: int, port: int) -> bytes:
        """Return what an output is computed from, in one digest.

        Parameters
        ----------
        node : int
            The index of the operation.
        port : int
            The index of its output.

        Returns
        -------
        bytes
            16 bytes.

        Raises
        ------
        ValueError
            The operation has no fingerprint.
        """
        fingerprint = self.all[node]
        if fingerprint is None:
            raise ValueError(f"{self._plan.label(node)!r} has no fingerprint: {self.reason(node)}")
        return blake2b(fingerprint + port.to_bytes(4, "little"), digest_size=DIGEST_BYTES).digest()

    def child(self, parent: bytes, plan: Plan, given: Sequence[object] = ()) -> PlanFingerprints:
        """Return the fingerprints of a plan that runs in the place of one of these operations.

        Parameters
        ----------
        parent : bytes
            The fingerprint of that operation; of a loop, `item` of it and the iteration.
        plan : Plan
            What runs.
        given : sequence of object
            What it is given: the values of its parameters.

        Returns
        -------
        PlanFingerprints
            Those of its operations.
        """
        return PlanFingerprints(plan, given, self._digests, parent)


def plan_fingerprints(
    plan: Plan,
    given: Sequence[object] = (),
    *,
    context_parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> PlanFingerprints:
    """Return what each operation of a plan is computed from, before it runs.

    Parameters
    ----------
    plan : Plan
        The plan.
    given : sequence of object
        What the run is given: the values of parameters and of overridden ports, in the order of ``plan.given``.
    context_parameters : mapping of str to object, optional
        ``context.parameters``. They count, all together, for every operation that may read them: for one that reads
        ``context.parameters``, or that does with its context what cannot be seen in its code, such as handing it on.
    seed : int, optional
        The seed of the run, which counts for operations that draw random numbers, in the same way.

    Returns
    -------
    PlanFingerprints
        The fingerprint of each operation, or why it has none.

    Examples
    --------
    >>> from execution_dataflow import GraphDefinition, operation
    >>> @operation
    ... def scaled(x: float, factor: float) -> float:
    ...     return factor * x
    >>> def graph(factor):
    ...     made = GraphDefinition("scales")
    ...     first = made.add(scaled, x=2.0, factor=10.0)
    ...     made.add(scaled, x=first, factor=factor)
    ...     return made
    >>> one, other = plan_fingerprints(graph(3.0).compile()), plan_fingerprints(graph(4.0).compile())
    >>> one.of(0) == other.of(0)
    True
    >>> what_changed(one.of(1), other.of(1))
    ('its configuration',)
    """
    return PlanFingerprints(plan, given, OperationDigests(context_parameters or {}, seed))


def child_fingerprints(
    parent: bytes,
    child_plan: Plan,
    given: Sequence[object] = (),
    *,
    context_parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> PlanFingerprints:
    """Return the fingerprints of a plan that runs in the place of an operation.

    `PlanFingerprints.child` is the same, and finds nothing twice.

    Parameters
    ----------
    parent : bytes
        The fingerprint of the operation; of an iteration, or of an item of a map, `item` of it.
    child_plan : Plan
        What runs in its place.
    given : sequence of object
        What that is given.
    context_parameters, seed
        As for `plan_fingerprints`.

    Returns
    -------
    PlanFingerprints
        Those of its operations. What waits for nothing in it comes from the parent.
    """
    return PlanFingerprints(child_plan, given, OperationDigests(context_parameters or {}, seed), parent)


def item(fingerprint: bytes, index: int) -> bytes:
    """Return the fingerprint of an item of a map, or of an iteration of a loop.

    Parameters
    ----------
    fingerprint : bytes
        That of the map or the loop.
    index : int
        Which item.

    Returns
    -------
    bytes
        48 bytes, of the same code and configuration.

    Examples
    --------
    >>> what_changed(item(bytes(48), 0), item(bytes(48), 1))
    ('its inputs',)
    """
    inputs = blake2b(fingerprint + b"item" + index.to_bytes(8, "little"), digest_size=DIGEST_BYTES).digest()
    return fingerprint[: 2 * DIGEST_BYTES] + inputs


def what_changed(old: bytes, new: bytes) -> tuple[str, ...]:
    """Return what distinguishes two fingerprints of an operation.

    Parameters
    ----------
    old, new : bytes
        The fingerprints.

    Returns
    -------
    tuple of str
        Some of ``"its code"``, ``"its configuration"`` and ``"its inputs"``; empty if they are the same.

    Raises
    ------
    ValueError
        One of them is no fingerprint.
    """
    for given in (old, new):
        if len(given) != FINGERPRINT_BYTES:
            raise ValueError(f"a fingerprint has {FINGERPRINT_BYTES} bytes, not {len(given)}")
    places = range(0, FINGERPRINT_BYTES, DIGEST_BYTES)
    return tuple(
        what
        for what, at in zip(_PARTS, places, strict=True)
        if old[at : at + DIGEST_BYTES] != new[at : at + DIGEST_BYTES]
    )

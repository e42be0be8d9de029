"""What the operations of a run are computed from: those of its plan, items of maps, and what is expanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from execution_dataflow.fingerprinting import item, plan_fingerprints

if TYPE_CHECKING:
    from execution_dataflow.expansion.scopes import Scopes
    from execution_dataflow.plan import Plan

__all__ = ["RunFingerprints"]

# Code and configuration; the last third is about the inputs.
_OWN = 32
_NO_ITERATION = (1 << 64) - 1


class RunFingerprints:
    """The fingerprints of a run.

    What runs in the place of an operation gets its inputs from there alone: so its fingerprint follows from that of the
    operation, from which iteration it is, and from its place in what runs there.

    Parameters
    ----------
    plan : Plan
        What runs.
    given : sequence of object
        A value for each of the plan's `given`.
    parameters : mapping
        Those of the context.
    seed : int
        That of its random streams.
    scopes : Scopes or None
        The expansions of the run, if it may have some.

    Attributes
    ----------
    all : sequence of bytes or None
        Those of the plan's own operations, ``None`` where it cannot be told.
    """

    def __init__(
        self, plan: Plan, given: Sequence[Any], parameters: Mapping[str, Any], seed: int, scopes: Scopes | None
    ) -> None:
        self._of_plan = plan_fingerprints(plan, given, context_parameters=parameters, seed=seed)
        self.all: Sequence[bytes | None] = self._of_plan.all
        self._scopes = scopes
        self._inside: dict[Plan, Sequence[bytes | None]] = {}
        self._begun: dict[tuple[int, tuple[int, ...]], tuple[Sequence[bytes | None] | None, bytes]] = {}

    def reason(self, node: int) -> str:
        """Return why an operation of the plan has none."""
        return self._of_plan.reason(node)

    def of(self, node: int, items: Sequence[int] = ()) -> bytes | None:
        """Return that of an operation by its number in the run, or of an item of a map."""
        fingerprint = self.all[node] if node < len(self.all) else self._of_expanded(node)
        for index in items:
            if fingerprint is None:
                return None
            fingerprint = item(fingerprint, index)
        return fingerprint

    def begin_inside(self, node: int, items: tuple[int, ...], plan: Plan, given: Sequence[Any], which: bytes) -> None:
        """Note what is more to know of a plan that runs in the place of an operation.

        Parameters
        ----------
        node : int
            The operation.
        items : tuple of int
            Which item of a map it is.
        plan : Plan
            What runs.
        given : sequence of object
            The values of its parameters; empty where they follow from the inputs of the operation.
        which : bytes
            Which attempt it is.
        """
        known = self._of_plan.child(b"", plan, given).all if given else None
        self._begun[node, items] = known, which

    def _of_expanded(self, node: int) -> bytes | None:
        assert self._scopes is not None
        plan, index, parent, items, iteration = self._scopes.origin(node)
        outer = self.of(parent, items)
        known, which = self._begun.get((parent, items), (None, b""))
        if known is None:
            known = self._inside.get(plan)
        if known is None:
            # Its parameters have values that come from the operation which was expanded.
            known = self._inside[plan] = self._of_plan.child(b"", plan, [None] * len(plan.given)).all
        own = known[index]
        if outer is None or own is None:
            return None
        turn = _NO_ITERATION if iteration is None else iteration
        digest = blake2b(outer + turn.to_bytes(8, "little") + own[_OWN:] + which, digest_size=16).digest()
        return own[:_OWN] + digest

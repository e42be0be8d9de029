"""Which operations of a plan a run takes over from its checkpoint, and with which values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.plan import Plan
from execution_dataflow.store_errors import (
    ArtifactNotFoundError,
    DamagedArtifactError,
    StoreFormatError,
    UnstorableValueError,
)
from execution_dataflow.stores.journal import Commit, record_binding

__all__ = ["SKIPPED", "USELESS", "Decoder", "Resumption", "reasons_to_run"]

USELESS = (ArtifactNotFoundError, DamagedArtifactError, StoreFormatError, UnstorableValueError)
"""What makes a record useless, and its operation run again; everything else is for the user to hear of at once."""

SKIPPED = b""
"""The outputs of what was skipped: no record of outputs is empty."""

_RESTORED, _WAS_SKIPPED = 1, 2
_FOLLOWS = "something that it depends on ran again"

_Outputs = list[tuple[int, Any]]


class Decoder(Protocol):
    """What reads the values of outputs."""

    def decode_outputs(
        self, record: bytes, missing: object, wanted: Collection[int] | None = None, *, bound_to: bytes = b""
    ) -> Sequence[object]:
        """Return the values in the order of ports, `missing` for what was not set or is not wanted."""
        ...


class Resumption:
    """Decides what is restored, and reads the values that are needed.

    A record that cannot be read counts as if its operation had not committed: that runs again, and all that depends
    on it.

    Parameters
    ----------
    plan : _core.Plan
        What runs.
    keys : sequence of str
        The identity of each operation in the run.
    fingerprints : sequence of bytes or None
        What each is computed from; ``None`` where that cannot be told.
    commits : mapping of str to Commit
        What has committed before, by its key.
    decoder : Decoder
        Reads values.
    retain : str or sequence of int
        Which values the run keeps, in the form that the native run takes.
    outside : sequence of int
        Nodes that stand for what comes from outside of the plan, and are there in any case.

    Attributes
    ----------
    restored : bytes
        For each operation 1 if it is restored, 2 if it was skipped and will be again.
    damaged : dict of int to str
        What is wrong with the record of an operation that was to be restored.
    """

    def __init__(
        self,
        plan: _core.Plan,
        keys: Sequence[str],
        fingerprints: Sequence[bytes | None],
        commits: Mapping[str, Commit],
        decoder: Decoder,
        retain: str | Sequence[int],
        outside: Sequence[int] = (),
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._outside = frozenset(outside)
        self._commits = commits
        self._decoder = decoder
        self._retain = retain
        self.damaged: dict[int, str] = {}
        self.restored = bytes(len(fingerprints))
        self._candidates = bytearray(len(fingerprints))
        self._skipped: list[int] = []
        if commits:
            find = commits.get
            for node, (key, fingerprint) in enumerate(zip(keys, fingerprints, strict=True)):
                commit = find(key)
                if commit is not None and commit.fingerprint == fingerprint:
                    self._candidates[node] = 1
                    if not commit.outputs:
                        self._skipped.append(node)
            for node in outside:
                self._candidates[node] = 1

    def nodes(self) -> list[tuple[int, _Outputs, bool]]:
        """Return the restored nodes of which a value is needed: values by port, whether an output was left unset."""
        decoded: dict[int, _Outputs] = {}
        while True:
            settled = bytearray(_core.restorable(self._plan, bytes(self._candidates)))
            skipped = [node for node in self._skipped if settled[node]]
            for node in skipped:
                settled[node] = 0
            # To be skipped again, they have to see what they were not given.
            wanted = _by_node(_core.wanted_outputs(self._plan, bytes(settled), self._retain))
            for node in skipped:
                settled[node] = _WAS_SKIPPED
            self.restored = bytes(settled)
            useless = [node for node, ports in wanted.items() if not self._decode(node, ports, decoded)]
            if not useless:
                break
            # What depends on them runs too, which may need other values.
            for node in useless:
                self._candidates[node] = 0
        return [(node, *_given(decoded[node], ports)) for node, ports in wanted.items() if node not in self._outside]

    def forget_commits(self) -> None:
        """Let the records go: what is restored has been decided and read."""
        self._commits = {}

    def all_nodes(self) -> list[tuple[int, _Outputs, bool]]:
        """Return all restored nodes, those of which no value is needed too."""
        nodes = self.nodes()
        known = self._outside.union(node for node, _, _ in nodes)
        bare = (node for node, flag in enumerate(self.restored) if flag == _RESTORED and node not in known)
        return [*nodes, *((node, [], False) for node in bare)]

    def _decode(self, node: int, ports: Sequence[int], decoded: dict[int, _Outputs]) -> bool:
        known = decoded.get(node)
        if node in self._outside:
            return True
        if known is not None and {port for port, _ in known} >= set(ports):
            return True
        commit = self._commits[self._keys[node]]
        bound_to = record_binding(commit.key, commit.fingerprint)
        try:
            values = self._decoder.decode_outputs(commit.outputs, _core.MISSING, ports, bound_to=bound_to)
        except USELESS as error:
            self.damaged[node] = str(error)
            return False
        decoded[node] = [(port, values[port]) for port in ports]
        return True


def _by_node(outputs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    nodes: dict[int, list[int]] = {}
    for node, port in outputs:
        nodes.setdefault(node, []).append(port)
    return nodes


def _given(values: Iterable[tuple[int, Any]], wanted: Collection[int]) -> tuple[_Outputs, bool]:
    present = [(port, value) for port, value in values if value is not _core.MISSING and port in wanted]
    return present, len(present) < len(wanted)


def reasons_to_run(
    plan: Plan,
    restored: bytes,
    fingerprints: Sequence[bytes | None],
    reason_without: Callable[[int], str],
    commits: Mapping[str, Commit],
    damaged: Mapping[int, str],
    dropped: Collection[str],
    what_changed: Callable[[bytes, bytes], Sequence[str]],
) -> dict[str, str]:
    """Return, for each operation that was not restored, why.

    Parameters
    ----------
    plan : Plan
        What runs.
    restored : bytes
        For each operation 1 if it is restored.
    fingerprints : sequence of bytes or None
        What each is computed from.
    reason_without : callable
        Says why an operation has no fingerprint.
    commits : mapping of str to Commit
        What had committed before.
    damaged : mapping of int to str
        What is wrong with records.
    dropped : collection of str
        The operations of which nothing that is inside was restored either.
    what_changed : callable
        Takes an old and a new fingerprint, and names the parts that differ.

    Returns
    -------
    dict of str to str
        By the names of the operations.
    """
    reasons: dict[str, str] = {}
    for node, name in enumerate(plan.names):
        if restored[node]:
            continue
        fingerprint, commit = fingerprints[node], commits.get(name)
        if node in damaged:
            reasons[name] = damaged[node]
        elif fingerprint is None:
            reasons[name] = f"what it is computed from cannot be told: {reason_without(node)}"
        elif commit is None or (not commit.fingerprint and commit.attempt):
            # Of what was reverted, no attempt counts; of what began anew, or has to, one is noted.
            reasons[name] = _FOLLOWS if name in dropped else "it had not committed"
        elif not commit.fingerprint:
            reasons[name] = "it was reverted"
        elif commit.fingerprint != fingerprint:
            parts = what_changed(commit.fingerprint, fingerprint)
            reasons[name] = f"{_spoken(parts)} changed" if parts else "it changed"
        else:
            reasons[name] = _FOLLOWS
    return reasons


def _spoken(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

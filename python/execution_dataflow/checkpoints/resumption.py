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
from execution_dataflow.stores.journal import Commit

__all__ = ["Decoder", "Resumption", "reasons_to_run"]

# What makes a record useless, and its operation run again; everything else is for the user to hear of at once.
_USELESS = (ArtifactNotFoundError, DamagedArtifactError, StoreFormatError, UnstorableValueError)

_Outputs = list[tuple[int, Any]]


class Decoder(Protocol):
    """What reads the values of outputs."""

    def decode_outputs(self, record: bytes, missing: object, wanted: Collection[int] | None = None) -> Sequence[object]:
        """Return the values in the order of ports, `missing` for what was not set or is not wanted."""
        ...


class Resumption:
    """Decides what is restored, and reads the values that are needed.

    A record that cannot be read counts as if its operation had not committed: that runs again, and all that depends
    on it.

    Parameters
    ----------
    plan : Plan
        What runs.
    fingerprints : sequence of bytes or None
        What each operation is computed from; ``None`` where that cannot be told.
    commits : mapping of str to Commit
        What has committed before, by its key.
    decoder : Decoder
        Reads values.
    retain : str or sequence of int
        Which values the run keeps, in the form that the native run takes.

    Attributes
    ----------
    restored : bytes
        For each operation 1 if it is restored.
    damaged : dict of int to str
        What is wrong with the record of an operation that was to be restored.
    """

    def __init__(
        self,
        plan: Plan,
        fingerprints: Sequence[bytes | None],
        commits: Mapping[str, Commit],
        decoder: Decoder,
        retain: str | Sequence[int],
    ) -> None:
        self._plan = plan
        self._commits = commits
        self._decoder = decoder
        self._retain = retain
        self.damaged: dict[int, str] = {}
        self.restored = bytes(len(fingerprints))
        self._candidates = bytearray(len(fingerprints))
        if commits:
            find = commits.get
            for node, (name, fingerprint) in enumerate(zip(plan.names, fingerprints, strict=True)):
                commit = find(name)
                if commit is not None and commit.fingerprint == fingerprint:
                    self._candidates[node] = 1

    def nodes(self) -> list[tuple[int, _Outputs, bool]]:
        """Return what the native run is given: nodes, values by port, and whether an output was left unset."""
        decoded: dict[int, _Outputs] = {}
        while True:
            self.restored = _core.restorable(self._plan.core, bytes(self._candidates))
            wanted = _by_node(_core.wanted_outputs(self._plan.core, self.restored, self._retain))
            useless = [node for node, ports in wanted.items() if not self._decode(node, ports, decoded)]
            if not useless:
                break
            # What depends on them runs too, which may need other values.
            for node in useless:
                self._candidates[node] = 0
        restored = (node for node, is_restored in enumerate(self.restored) if is_restored)
        return [(node, *_given(decoded.get(node, ()), wanted.get(node, ()))) for node in restored]

    def _decode(self, node: int, ports: Sequence[int], decoded: dict[int, _Outputs]) -> bool:
        known = decoded.get(node)
        if known is not None and {port for port, _ in known} >= set(ports):
            return True
        commit = self._commits[self._plan.names[node]]
        try:
            values = self._decoder.decode_outputs(commit.outputs, _core.MISSING, ports)
        except _USELESS as error:
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
        elif commit is None:
            reasons[name] = "it had not committed"
        elif not commit.fingerprint:
            reasons[name] = "it was reverted"
        elif commit.fingerprint != fingerprint:
            parts = what_changed(commit.fingerprint, fingerprint)
            reasons[name] = f"{_spoken(parts)} changed" if parts else "it changed"
        else:
            reasons[name] = "something that it depends on ran again"
    return reasons


def _spoken(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

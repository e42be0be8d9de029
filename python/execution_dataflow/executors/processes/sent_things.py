"""What one pool has sent to its worker processes and would send to a new one: definitions and operations."""

from __future__ import annotations

from hashlib import blake2b
from itertools import count

from execution_dataflow import _core
from execution_dataflow.executors.processes.definitions import forget_keys

__all__ = ["PackedOperation", "SentThings"]

# Beyond so many, what the runs before have left is thrown away as soon as no run is open.
_MOST_KEPT = 2048
# Of an operation that never ran in a worker process nothing is known.
_UNKNOWN = -1


class PackedOperation:
    """An operation as it is sent, and what was learnt of it.

    Parameters
    ----------
    number : int
        By which workers know it.
    spec : NodeSpec
        The spec.
    stream : bytes
        Its pickle.
    needs : frozenset of str
        The keys of the definitions in it.

    Attributes
    ----------
    expected_ns : int
        How long it takes, as far as is known: more than it mostly does; -1 before the first result.
    """

    __slots__ = ("expected_ns", "needs", "number", "spec", "stream")

    def __init__(self, number: int, spec: _core.NodeSpec, stream: bytes, needs: frozenset[str]) -> None:
        self.number = number
        self.spec = spec
        self.stream = stream
        self.needs = needs
        self.expected_ns = _UNKNOWN

    def note(self, nanoseconds: int) -> None:
        """Learn from a result: at once from one that took longer, slowly from one that was quicker."""
        expected = self.expected_ns
        if nanoseconds > expected:
            self.expected_ns = nanoseconds
        else:
            self.expected_ns = expected - (expected - nanoseconds) // 8


class SentThings:
    """Definitions and operations, by what they are: the same in the next run has the same key.

    Attributes
    ----------
    keys : dict of bytes to str
        The keys of definitions, by a digest of their pickle.
    definitions : dict of str to bytes
        The pickles of these, by key.
    """

    def __init__(self) -> None:
        self.keys: dict[bytes, str] = {}
        self.definitions: dict[str, bytes] = {}
        self._operations: dict[bytes, PackedOperation] = {}
        self._numbers = count(1)

    def operation(self, spec: _core.NodeSpec, stream: bytes, needs: frozenset[str]) -> PackedOperation:
        """Return what is known of an operation with this pickle, at the level of contracts of its spec."""
        digest = blake2b(stream, digest_size=16, person=spec.contracts.encode()).digest()
        known = self._operations.get(digest)
        if known is None:
            known = self._operations[digest] = PackedOperation(next(self._numbers), spec, stream, needs)
        return known

    @property
    def is_much(self) -> bool:
        """Whether more is kept than runs usually need."""
        return len(self._operations) + len(self.definitions) > _MOST_KEPT

    def clear(self) -> None:
        """Forget everything; the workers do so too."""
        forget_keys(self.definitions)
        self.keys.clear()
        self.definitions.clear()
        self._operations.clear()

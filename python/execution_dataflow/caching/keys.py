"""What a result was computed from, as the key under which it is kept."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from execution_dataflow.caching.around import CachedKind, Place
from execution_dataflow.errors import DataflowError
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.operations import Operation

if TYPE_CHECKING:
    from execution_dataflow.run_record import RunRecord

__all__ = ["KeyFault", "key_of"]

_VERSION = b"cache 1"


class KeyFault(DataflowError):
    """Something has no digest, so that nobody can tell whether it is the same in another run."""


class _Digests:
    """The digests of the code and the configuration of operations, found once in a run: they stay as they are in it."""

    __slots__ = ("_known", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        # Each with what it belongs to, so that nothing else gets its address.
        self._known: dict[int, tuple[Any, bytes | Exception]] = {}

    def of(self, operation: Operation) -> bytes:
        """Return the digest of an operation.

        Raises
        ------
        UnfingerprintableError
            It has none.
        """
        # A function is all there is to an operation that calls one.
        is_function = isinstance(operation, FunctionOperation) and "execute" not in vars(operation)
        what: Any = operation.definition if is_function else operation  # type: ignore[attr-defined]
        known = self._known.get(id(what))
        if known is None:
            found = _digest_of(operation)
            with self._lock:
                known = self._known[id(what)] = what, found
        digest = known[1]
        if isinstance(digest, Exception):
            raise digest.with_traceback(None)
        return digest


_digests: WeakKeyDictionary[RunRecord, _Digests] = WeakKeyDictionary()
_lock = Lock()


def key_of(kind: CachedKind, place: Place) -> str:
    """Return the key of the result of an attempt.

    Parameters
    ----------
    kind : CachedKind
        What runs.
    place : Place
        Where, and with which inputs.

    Raises
    ------
    KeyFault
        It has none, or what the user gave to make it has failed.
    """
    from execution_dataflow.fingerprint_errors import UnfingerprintableError
    from execution_dataflow.fingerprinting import value_digest
    from execution_dataflow.fingerprinting.walks import joined

    try:
        code = _digests_of(place.record).of(place.operation)
    except UnfingerprintableError as fault:
        raise KeyFault(f"it has no fingerprint: {fault}") from fault
    if kind.policy.key is not None:
        try:
            given = kind.policy.key(dict(zip(kind.inputs, place.inputs, strict=True)))
        except Exception as fault:
            raise KeyFault(f"its CachePolicy(key=) has failed: {type(fault).__name__}: {fault}") from fault
        try:
            return joined(_VERSION, code, b"key", value_digest(given)).hex()
        except UnfingerprintableError as fault:
            raise KeyFault(f"what its CachePolicy(key=) returned has no digest: {fault}") from fault
    parts = [_VERSION, code, b"inputs"]
    for name, value in zip(kind.inputs, place.inputs, strict=True):
        try:
            parts += (name.encode(), value_digest(value))
        except UnfingerprintableError as fault:
            raise KeyFault(
                f"its input {name!r} has no digest: {fault}; CachePolicy(key=) can say what stands for its inputs"
            ) from fault
    if kind.takes_context:
        try:
            parts += _context_of(place)
        except UnfingerprintableError as fault:
            raise KeyFault(
                f"it sees the context, whose parameters have no digest: {fault}; CachePolicy(key=) can say what counts"
            ) from fault
    return joined(*parts).hex()


def _context_of(place: Place) -> list[bytes]:
    """What an operation may read from the context, and comes out differently for it."""
    from execution_dataflow.fingerprinting import value_digest

    record: RunRecord = place.record
    parts = []
    if record.parameters:
        parts += (b"parameters", value_digest(dict(record.parameters)))
    if record.given_seed is not None:
        # Streams of random numbers follow from the seed and the name of the operation.
        name = record.name_of(place.node, place.items)
        parts += (b"seed", str(record.given_seed).encode(), name.encode("utf-8", "surrogatepass"))
    return parts


def _digests_of(record: RunRecord) -> _Digests:
    known = _digests.get(record)
    if known is None:
        with _lock:
            known = _digests.setdefault(record, _Digests())
    return known


def _digest_of(operation: Operation) -> bytes | Exception:
    from execution_dataflow.fingerprint_errors import UnfingerprintableError
    from execution_dataflow.fingerprinting import operation_digests
    from execution_dataflow.fingerprinting.walks import joined

    try:
        return joined(*operation_digests(operation))
    except UnfingerprintableError as fault:
        return fault

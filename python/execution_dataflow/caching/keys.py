"""What a result was computed from, as the key under which it is kept."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from execution_dataflow.caching.around import CachedKind, Place
from execution_dataflow.errors import DataflowError
from execution_dataflow.fingerprint_errors import UnfingerprintableError
from execution_dataflow.fingerprinting import value_digest
from execution_dataflow.fingerprinting.operation_digests import OperationDigests
from execution_dataflow.fingerprinting.walks import joined
from execution_dataflow.functions import FunctionOperation

if TYPE_CHECKING:
    from execution_dataflow.operations import Operation
    from execution_dataflow.run_record import RunRecord

__all__ = ["KeyFault", "key_of"]

# Part of every key: what keys are made of changes with this number.
_VERSION = b"cache 1"


class KeyFault(DataflowError):
    """Something has no digest, so that nobody can tell whether it is the same in another run."""


class _RunDigests:
    """What operations are by themselves, found once in a run: they stay as they are in it.

    Parameters
    ----------
    record : RunRecord
        The run.
    """

    def __init__(self, record: RunRecord) -> None:
        self._finder = OperationDigests(record.parameters, record.given_seed)
        self._lock = Lock()
        # Each with what it belongs to, so that nothing else gets its address.
        self._known: dict[int, tuple[Any, tuple[bytes, bool] | Exception]] = {}

    def of(self, operation: Operation) -> tuple[bytes, bool]:
        """Return the digest of an operation, and whether it may draw random numbers from the run's seed.

        Raises
        ------
        UnfingerprintableError
            It has none.
        """
        # All operations of a function that have no options of their own are one.
        is_plain = type(operation) is FunctionOperation and len(vars(operation)) == 2
        what: Any = operation.definition if is_plain else operation  # type: ignore[attr-defined]
        known = self._known.get(id(what))
        if known is None:
            with self._lock:
                known = self._known[id(what)] = what, self._find(operation)
        found = known[1]
        if isinstance(found, Exception):
            raise found.with_traceback(None)
        return found

    def _find(self, operation: Operation) -> tuple[bytes, bool] | Exception:
        try:
            return self._finder.of(operation), self._finder.draws_random_numbers(operation)
        except UnfingerprintableError as fault:
            return fault


_of_runs: WeakKeyDictionary[RunRecord, _RunDigests] = WeakKeyDictionary()
_lock = Lock()


def key_of(kind: CachedKind, place: Place) -> str:
    """Return the key of the result of an attempt: a digest of all that it comes from.

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
    record: RunRecord = place.record
    try:
        own, is_random = _digests_of(record).of(place.operation)
    except UnfingerprintableError as fault:
        raise KeyFault(f"it has no fingerprint: {fault}") from fault
    parts = [_VERSION, own]
    if kind.policy.key is not None:
        try:
            given = kind.policy.key(dict(zip(kind.inputs, place.inputs, strict=True)))
        except Exception as fault:
            raise KeyFault(f"its CachePolicy(key=) has failed: {type(fault).__name__}: {fault}") from fault
        try:
            parts += (b"key", value_digest(given))
        except UnfingerprintableError as fault:
            raise KeyFault(f"what its CachePolicy(key=) returned has no digest: {fault}") from fault
    else:
        parts.append(b"inputs")
        for name, value in zip(kind.inputs, place.inputs, strict=True):
            try:
                parts += (name.encode(), value_digest(value))
            except UnfingerprintableError as fault:
                raise KeyFault(
                    f"its input {name!r} has no digest: {fault}; a CachePolicy(key=) can say what stands for its inputs"
                ) from fault
    if is_random and record.given_seed is not None:
        # Streams of random numbers follow from the seed, which is part of the configuration, and from the name.
        parts += (b"name", record.name_of(place.node, place.items).encode("utf-8", "surrogatepass"))
    return joined(*parts).hex()


def _digests_of(record: RunRecord) -> _RunDigests:
    known = _of_runs.get(record)
    if known is None:
        with _lock:
            known = _of_runs.get(record)
            if known is None:
                known = _of_runs[record] = _RunDigests(record)
    return known

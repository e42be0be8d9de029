"""That something has stood in for a failed operation: kept beside its outputs, so that a resumed run can say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.checkpoints.resumption import USELESS
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.errors import DataflowError
from execution_dataflow.store_errors import StoreFormatError
from execution_dataflow.stores.journal import Commit, record_binding

if TYPE_CHECKING:
    from execution_dataflow.plan import Plan
    from execution_dataflow.run_record import RunRecord
    from execution_dataflow.storage_formats import ValueCodec

__all__ = ["earlier_failures", "failure_commit", "is_of_operation"]


def failure_commit(codec: ValueCodec, of: Commit, failure: ErrorRecord) -> Commit:
    """Return what is kept of a failure for which something has stood in.

    Parameters
    ----------
    codec : ValueCodec
        Writes values.
    of : Commit
        That of the operation, with the outputs of what stood in.
    failure : ErrorRecord
        Why it did so.

    Returns
    -------
    Commit
        To be written before that of the operation. It counts only for that one: they end at the same time.
    """
    key = _key(of.key)
    where = failure.where
    text = failure.message if where is None else f"{failure.message} (at {where})"
    kept = [failure.attempt, failure.max_attempts, failure.fallback, text, list(map(failure.redact, failure.earlier))]
    encoded = codec.encode_outputs(("failure",), (kept,), _core.MISSING, bound_to=record_binding(key, of.fingerprint))
    return of._replace(key=key, outputs=encoded.record, artifacts=encoded.artifacts)


def is_of_operation(commit: Commit) -> bool:
    """Return whether a commit says that an operation, or an item, has committed, and nothing else."""
    return bool(commit.fingerprint) and not commit.key.endswith("/")


def earlier_failures(
    plan: Plan, commits: Mapping[str, Commit], codec: ValueCodec, record: RunRecord
) -> tuple[dict[int, ErrorRecord], dict[str, str]]:
    """Return the failures for which something stood in, in what has committed.

    Parameters
    ----------
    plan : Plan
        What runs.
    commits : mapping of str to Commit
        What has committed before.
    codec : ValueCodec
        Reads values.
    record : RunRecord
        The run.

    Returns
    -------
    tuple of (dict of int to ErrorRecord, dict of str to str)
        The failures by node, and what is wrong with those that cannot be read, by name.
    """
    found: dict[int, ErrorRecord] = {}
    damaged: dict[str, str] = {}
    has_fallback = [spec.fallback is not None for spec in plan.specs]
    if any(has_fallback):
        for node, (name, spec) in enumerate(zip(plan.names, plan.spec_of, strict=True)):
            if has_fallback[spec] and name in commits:
                kept = commits.get(_key(name))
                if kept is not None and _moment(kept) == _moment(commits[name]):
                    try:
                        found[node] = _read(kept, name, node, codec, record)
                    except USELESS as error:
                        damaged[name] = str(error)
    return found, damaged


def _key(name: str) -> str:
    # Inside of the operation, where what it is called is not empty.
    return f"{name}/"


def _moment(commit: Commit) -> tuple[object, ...]:
    return commit.fingerprint, commit.attempt, commit.started, commit.ended


def _read(kept: Commit, name: str, node: int, codec: ValueCodec, record: RunRecord) -> ErrorRecord:
    bound_to = record_binding(kept.key, kept.fingerprint)
    value: Any = codec.decode_outputs(kept.outputs, _core.MISSING, bound_to=bound_to)[0]
    if not isinstance(value, list) or len(value) != 5:
        raise StoreFormatError(f"the failure of {name!r} cannot be read: it is of another version")
    attempt, max_attempts, fallback, text, earlier = value
    error = DataflowError(f"before this run was resumed: {text}")
    made = record.error_record(node, attempt, max_attempts, error, fallback)
    return ErrorRecord(node, name, attempt, max_attempts, error, tuple(earlier), made.redact, fallback)

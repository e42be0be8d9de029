"""Persistent state: values with versions.

A value that is deleted leaves its version behind, so that one that is created anew never looks like the old one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Connection, bindparam, insert, select, tuple_, update

from execution_dataflow.store_errors import DamagedArtifactError, StateConflictError
from execution_dataflow.stores.journal import StateChange, StateValue
from execution_dataflow.stores.sql.checksums import state_checksum
from execution_dataflow.stores.sql.tables import STATE

__all__ = ["change", "keys", "namespaces", "read"]

_Values: TypeAlias = dict[tuple[str, str], tuple[bytes | None, int]]
_VALUES: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in ("value", "version", "checksum")}
_NAMES_AT_ONCE = 400


def read(connection: Connection, namespace: str, key: str) -> StateValue | None:
    """Return a value."""
    row = connection.execute(select(STATE).where(STATE.c.namespace == namespace, STATE.c.key == key)).first()
    if row is None:
        return None
    value, version = _checked(*row)
    return None if value is None else StateValue(value, version)


def change(connection: Connection, changes: Sequence[StateChange]) -> None:
    """Make changes one after the other, or raise for the first that does not find what it expects."""
    before = _current(connection, {(change.namespace, change.key) for change in changes})
    after = dict(before)
    for namespace, key, value, expected in changes:
        old, version = after.get((namespace, key), (None, 0))
        if expected is not None and expected != (0 if old is None else version):
            raise StateConflictError(namespace, key)
        # A deletion keeps the version: only what is created after it needs one that none had before.
        if value is not None:
            after[namespace, key] = bytes(value), version + 1
        elif old is not None:
            after[namespace, key] = None, version
    rows = [
        {
            "of_namespace": namespace,
            "of_key": key,
            "value": value,
            "version": version,
            "checksum": state_checksum(namespace, key, value, version),
        }
        for (namespace, key), (value, version) in after.items()
        if before.get((namespace, key)) != (value, version)
    ]
    created = [row for row in rows if (row["of_namespace"], row["of_key"]) not in before]
    changed = [row for row in rows if (row["of_namespace"], row["of_key"]) in before]
    if created:
        names: dict[str, BindParameter[Any]] = {"namespace": bindparam("of_namespace"), "key": bindparam("of_key")}
        connection.execute(insert(STATE).values(**names, **_VALUES), created)
    if changed:
        there = (STATE.c.namespace == bindparam("of_namespace"), STATE.c.key == bindparam("of_key"))
        connection.execute(update(STATE).where(*there).values(**_VALUES), changed)


def _current(connection: Connection, names: Collection[tuple[str, str]]) -> _Values:
    """What there is of some names, locked: the value, or ``None`` if it was deleted, and the last version there was."""
    found: _Values = {}
    # In one order, so that two that do so at once do not wait for each other.
    waiting = sorted(names)
    for first in range(0, len(waiting), _NAMES_AT_ONCE):
        some = waiting[first : first + _NAMES_AT_ONCE]
        chosen = select(STATE).where(tuple_(STATE.c.namespace, STATE.c.key).in_(some))
        for row in connection.execute(chosen.order_by(STATE.c.namespace, STATE.c.key).with_for_update()):
            found[row.namespace, row.key] = _checked(*row)
    return found


def _checked(namespace: str, key: str, value: bytes | None, version: int, checksum: int) -> tuple[bytes | None, int]:
    if state_checksum(namespace, key, value, version) != checksum:
        raise DamagedArtifactError(f"the state {key!r} of {namespace!r}")
    return value, version


def keys(connection: Connection, namespace: str, prefix: str, after: str | None, limit: int) -> list[str]:
    """Return the next keys that begin with a prefix."""
    beyond = STATE.c.key >= prefix if after is None else STATE.c.key > after
    chosen = select(STATE.c.key).where(STATE.c.namespace == namespace, beyond, STATE.c.value.is_not(None))
    found = connection.execute(chosen.order_by(STATE.c.key).limit(limit)).scalars()
    # Sorted by code points, those that begin with the prefix stand together, the prefix itself first.
    return [key for key in found if key.startswith(prefix)]


def namespaces(connection: Connection) -> list[str]:
    """Return the namespaces that have a value."""
    chosen = select(STATE.c.namespace).where(STATE.c.value.is_not(None)).distinct().order_by(STATE.c.namespace)
    return list(connection.execute(chosen).scalars())

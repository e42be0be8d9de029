"""Persistent state: values with versions.

A value that is deleted leaves its version behind, so that one that is created anew never looks like the old one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from execution_dataflow.store_errors import DamagedArtifactError, StateConflictError
from execution_dataflow.stores.journal import StateChange, StateValue
from execution_dataflow.stores.sql.checksums import state_checksum
from execution_dataflow.stores.sql.tables import STATE

__all__ = ["change", "keys", "namespaces", "read"]


def read(connection: Connection, namespace: str, key: str) -> StateValue | None:
    """Return a value."""
    value, version = _current(connection, namespace, key, for_update=False)
    return None if value is None else StateValue(value, version)


def change(connection: Connection, changes: Sequence[StateChange]) -> None:
    """Make changes one after the other, or raise for the first that does not find what it expects."""
    for one in changes:
        _change(connection, one)


def _change(connection: Connection, change: StateChange) -> None:
    namespace, key, value, expected = change
    old, version = _current(connection, namespace, key, for_update=True)
    if expected is not None and expected != (0 if old is None else version):
        raise StateConflictError(namespace, key)
    if value is None and old is None:
        return
    if value is not None:
        value = bytes(value)
    # A deletion keeps the version: only what is created after it needs one that none had before.
    new = version if value is None else version + 1
    columns = {"value": value, "version": new, "checksum": state_checksum(namespace, key, value, new)}
    if version == 0:
        connection.execute(insert(STATE).values(namespace=namespace, key=key, **columns))
    else:
        connection.execute(update(STATE).where(STATE.c.namespace == namespace, STATE.c.key == key).values(**columns))


def _current(connection: Connection, namespace: str, key: str, *, for_update: bool) -> tuple[bytes | None, int]:
    """The value, ``None`` if there is none, and the last version there was, 0 if there never was one."""
    chosen = select(STATE.c.value, STATE.c.version, STATE.c.checksum).where(
        STATE.c.namespace == namespace, STATE.c.key == key
    )
    row = connection.execute(chosen.with_for_update() if for_update else chosen).first()
    if row is None:
        return None, 0
    value, version, checksum = row
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

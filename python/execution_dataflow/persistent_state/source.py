"""Where the state is that an attempt reads: a store or, for a worker process, the process that it works for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from execution_dataflow.stores.journal import StateChange, StateValue

if TYPE_CHECKING:
    from execution_dataflow.storage_formats import ValueCodec
    from execution_dataflow.stores.opening import Store

__all__ = ["StateSource", "StoreSource"]


class StateSource(Protocol):
    """What an attempt asks for state. Every method may be called from any thread."""

    def read(self, namespace: str, key: str) -> StateValue | None:
        """Return what is committed; ``None`` if there is nothing."""

    def keys(self, namespace: str, prefix: str) -> Sequence[str]:
        """Return the keys that begin with a prefix, sorted."""

    def encode(self, name: str, value: object) -> bytes:
        """Return a value as it is kept.

        Raises
        ------
        UnstorableValueError
            It cannot be kept.
        """

    def decode(self, name: str, data: bytes) -> object:
        """Return a value from what is kept of it; no two calls return an object that can be changed twice."""


class StoreSource:
    """The state in a store.

    Parameters
    ----------
    store : Store
        The store, which stays its owner's to close.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def _codec(self) -> ValueCodec:
        from execution_dataflow.storage_formats import ValueCodec

        store = self._store
        trusts_pickles = store.trust_pickles or store.journal.is_local
        return ValueCodec(store.artifacts, key=store.key, trusts_pickles=trusts_pickles, prefix="state")

    def read(self, namespace: str, key: str) -> StateValue | None:
        """Return what is committed; ``None`` if there is nothing."""
        return self._store.journal.read_state(namespace, key)

    def keys(self, namespace: str, prefix: str) -> Sequence[str]:
        """Return the keys that begin with a prefix, sorted."""
        return tuple(self._store.journal.state_keys(namespace, prefix))

    def encode(self, name: str, value: object) -> bytes:
        """Return a value as it is kept."""
        return self._codec.encode_value(name, value)

    def decode(self, name: str, data: bytes) -> object:
        """Return a value from what is kept of it."""
        return self._codec.decode_value(name, data)

    def change(self, changes: Sequence[StateChange]) -> None:
        """Commit changes that belong to no attempt.

        Raises
        ------
        StateConflictError
            A value does not have the version any more that was read: nothing was changed.
        """
        if changes:
            self._store.journal.change_state(changes)

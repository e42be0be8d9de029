"""The part of a run's record that is about persistent state."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from execution_dataflow.expansion.scopes import Scopes
from execution_dataflow.store_errors import NoStateStoreError

if TYPE_CHECKING:
    from execution_dataflow.persistent_state.overlays import StateOverlays
    from execution_dataflow.persistent_state.state import PersistentState
    from execution_dataflow.stores.journal import StateChange
    from execution_dataflow.stores.opening import Store

__all__ = ["KeepsState", "StateTerms", "take_changes"]

StateTerms: TypeAlias = tuple[bytes | None, bool]
"""The key that signs values, and whether pickles are read that it has not signed."""


class KeepsState:
    """What a run keeps of the state that its live attempts read and write. Runs that never ask for state make nothing.

    Attributes
    ----------
    state_store : Store or None
        Where state is kept; set by the engine.
    overlays : StateOverlays or None
        What live attempts have read and written; ``None`` until the first one asks for it.
    """

    __slots__ = ("overlays", "state_store")

    state_store: Store | None
    overlays: StateOverlays | None
    graph_name: str
    names: Callable[[int], str]
    scopes: Scopes | None
    _lock: Lock

    def state_for(self, node: int, items: tuple[int, ...], attempt: int) -> PersistentState:
        """Return the persistent state as an attempt sees it.

        Raises
        ------
        NoStateStoreError
            The run has no store for it.
        """
        return self.open_overlays().open(node, items, attempt)

    def open_overlays(self) -> StateOverlays:
        """Return `overlays`, made when first asked for.

        Raises
        ------
        NoStateStoreError
            The run has no store for state.
        """
        if self.overlays is None:
            with self._lock:
                if self.overlays is None:
                    self.overlays = self._new_overlays()
        return self.overlays

    def _new_overlays(self) -> StateOverlays:
        if self.state_store is None:
            raise NoStateStoreError
        from execution_dataflow.persistent_state.overlays import StateOverlays
        from execution_dataflow.persistent_state.source import StoreSource

        # No method of this record: a cycle would keep the frames of its errors until it is collected.
        name = self.names if self.scopes is None else self.scopes.operation_name
        return StateOverlays(StoreSource(self.state_store), self.graph_name, name)

    @property
    def state_terms(self) -> StateTerms | None:
        """How values of state are encoded; ``None`` in a run that has none."""
        store = self.state_store
        return None if store is None else (store.key, store.trust_pickles or store.journal.is_local)

    def uses_state(self, node: int, items: tuple[int, ...] = ()) -> bool:
        """Return whether the live attempt has asked for the state: it depends on more than its inputs then."""
        return self.overlays is not None and self.overlays.is_live(node, items)

    def drop_state(self, node: int, items: tuple[int, ...] = ()) -> None:
        """Forget what the live attempt has changed: it has failed."""
        if self.overlays is not None:
            self.overlays.drop(node, items)

    def commit_changes(
        self, node: int, items: tuple[int, ...], attempt: int, values: object, started: int, ended: int
    ) -> None:
        """Commit what an attempt has changed, which has succeeded, in a run without a checkpoint.

        Raises
        ------
        StateConflictError
            Somebody else has changed it meanwhile.
        """
        store, changes = self.state_store, take_changes(self, node, items, attempt)
        if changes and store is not None:
            store.journal.change_state(changes)

    def commit_state(self, node: int) -> None:
        """Commit what the revert of an operation has changed.

        Raises
        ------
        StateConflictError
            Somebody else has changed it meanwhile.
        """
        if self.overlays is not None and self.state_store is not None and (changes := self.overlays.take(node)):
            self.state_store.journal.change_state(changes)


def take_changes(record: KeepsState, node: int, items: tuple[int, ...], attempt: int) -> tuple[StateChange, ...]:
    """Return the changes of state that are to be committed with the outputs of an attempt, which has succeeded.

    Parameters
    ----------
    record : RunRecord
        The run.
    node : int
        The index of the operation.
    items : tuple of int
        Which item of a map it is.
    attempt : int
        The number of the attempt, from 1.

    Returns
    -------
    tuple of StateChange
        To be committed all or none; the attempt can read and write nothing more. Empty if it has changed nothing.
    """
    overlays = record.overlays
    return () if overlays is None else overlays.take(node, items, attempt)

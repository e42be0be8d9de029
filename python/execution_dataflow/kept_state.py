"""The part of a run's record that is about persistent state."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from execution_dataflow.expansion.scopes import Scopes
from execution_dataflow.store_errors import NoStateStoreError

if TYPE_CHECKING:
    from execution_dataflow.persistent_state.overlays import StateOverlays
    from execution_dataflow.persistent_state.state import PersistentState
    from execution_dataflow.stores.opening import Store

__all__ = ["KeepsState"]


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
        if self.overlays is None:
            with self._lock:
                if self.overlays is None:
                    self.overlays = self._new_overlays()
        return self.overlays.open(node, items, attempt)

    def _new_overlays(self) -> StateOverlays:
        if self.state_store is None:
            raise NoStateStoreError
        from execution_dataflow.persistent_state.overlays import StateOverlays
        from execution_dataflow.persistent_state.source import StoreSource

        # No method of this record: a cycle would keep the frames of its errors until it is collected.
        name = self.names if self.scopes is None else self.scopes.operation_name
        return StateOverlays(StoreSource(self.state_store), self.graph_name, name)

    def drop_state(self, node: int, items: tuple[int, ...] = ()) -> None:
        """Forget what the live attempt has changed: it has failed."""
        if self.overlays is not None:
            self.overlays.drop(node, items)

    def commit_state(self, node: int) -> None:
        """Commit what the revert of an operation has changed.

        Raises
        ------
        StateConflictError
            Somebody else has changed it meanwhile.
        """
        if self.overlays is not None and self.state_store is not None and (changes := self.overlays.take(node)):
            self.state_store.journal.change_state(changes)

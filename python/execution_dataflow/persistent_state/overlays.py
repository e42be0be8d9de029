"""The state of one run's attempts, until each is committed or has failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from execution_dataflow.persistent_state.overlay import StateOverlay
from execution_dataflow.persistent_state.places import operation_namespace
from execution_dataflow.persistent_state.source import StateSource
from execution_dataflow.persistent_state.state import PersistentState
from execution_dataflow.stores.journal import StateChange

__all__ = ["StateOverlays"]


class _Received(NamedTuple):
    """What an attempt in a worker process has changed."""

    attempt: int
    changes: tuple[StateChange, ...]

    def finish(self) -> tuple[StateChange, ...]:
        return self.changes


class StateOverlays:
    """What the live attempts of one run have read and written of the state. Every method may be called by any thread.

    Parameters
    ----------
    source : StateSource
        Where the state is.
    graph_name : str
        The name of the graph.
    operation_name : callable
        Takes a node and returns the name of its operation, the same for all items and iterations.
    """

    def __init__(self, source: StateSource, graph_name: str, operation_name: Callable[[int], str]) -> None:
        self.source = source
        self._graph_name = graph_name
        self.operation_name = operation_name
        # By node and item, of which there is one live attempt at a time.
        self._live: dict[tuple[int, tuple[int, ...]], StateOverlay | _Received] = {}
        self._lock = Lock()

    def open(self, node: int, items: tuple[int, ...], attempt: int) -> PersistentState:
        """Return the state as an attempt sees it, the same for all that ask for it within the attempt."""
        key = node, items
        with self._lock:
            live = self._live.get(key)
            if not isinstance(live, StateOverlay) or live.attempt != attempt:
                overlay = StateOverlay(
                    self.source,
                    attempt,
                    lambda: self.namespace_of(node),
                    lambda: self.operation_name(node),
                )
                # What an attempt writes that another one has followed is not to take the other's place.
                if live is None or live.attempt <= attempt:
                    self._live[key] = overlay
                live = overlay
        return PersistentState(live)

    def namespace_of(self, node: int) -> str:
        """Return the namespace of an operation."""
        return operation_namespace(self._graph_name, self.operation_name(node))

    def is_live(self, node: int, items: tuple[int, ...] = ()) -> bool:
        """Return whether an attempt has asked for the state, and was neither committed nor dropped."""
        return (node, items) in self._live

    def receive(self, node: int, items: tuple[int, ...], attempt: int, changes: Sequence[StateChange]) -> None:
        """Note what an attempt in a worker process has changed, before it succeeds here."""
        with self._lock:
            self._live[node, items] = _Received(attempt, tuple(changes))

    def take(self, node: int, items: tuple[int, ...] = (), attempt: int | None = None) -> tuple[StateChange, ...]:
        """Return what an attempt has changed, to be committed, and forget it; ``None`` for whichever is live."""
        key = node, items
        with self._lock:
            live = self._live.get(key)
            if live is None or (attempt is not None and live.attempt != attempt):
                return ()
            del self._live[key]
        # Not under the lock: a thread of the attempt may hold its own lock and wait for the store.
        return live.finish()

    def drop(self, node: int, items: tuple[int, ...] = ()) -> None:
        """Forget what an attempt has changed: it has failed."""
        self.take(node, items)

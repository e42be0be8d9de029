"""State outside of runs: looking at it, and setting it right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from execution_dataflow.persistent_state.overlay import StateOverlay
from execution_dataflow.persistent_state.places import checked_namespace
from execution_dataflow.persistent_state.source import StoreSource
from execution_dataflow.persistent_state.state import PersistentState
from execution_dataflow.stores.opening import Store, open_store

__all__ = ["edit_state"]


@contextmanager
def edit_state(store: str | Path | Store, namespace: str) -> Iterator[PersistentState]:
    """Read and change state outside of a run: a watermark is set back, a mistake is put right.

    Parameters
    ----------
    store : str, Path or Store
        The address of a store, or an open one, which stays open.
    namespace : str
        Which state: ``operation:<graph>/<operation>`` is that of an operation.

    Yields
    ------
    PersistentState
        Its changes are committed at the end of the ``with`` block, all of them or, when the block raises, none.

    Raises
    ------
    StateConflictError
        At the end: somebody else has changed meanwhile what was read and changed here.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for watermark in (1250, 0):
    ...         with edit_state(Path(folder, "runs.db"), "operation:orders/load") as state:
    ...             state.get("watermark"), state.version("watermark")
    ...             state.put("watermark", watermark)
    (None, 0)
    (1250, 1)
    """
    checked_namespace(namespace)
    opened = store if isinstance(store, Store) else open_store(store)
    try:
        source = StoreSource(opened)
        overlay = StateOverlay(source, 1, lambda: namespace, lambda: namespace)
        try:
            yield PersistentState(overlay)
        finally:
            changes = overlay.finish()
        source.change(changes)
    finally:
        if opened is not store:
            opened.close()

"""The stores that an engine has opened: each once, and closed with the engine."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TypeAlias
from weakref import finalize

from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Journal
from execution_dataflow.stores.opening import Store, open_store
from execution_dataflow.stores.sql.addresses import SqliteAddress, database_of

__all__ = ["EngineStores", "StoreAddress", "checked_address"]

StoreAddress: TypeAlias = str | Path | Store
"""A store, or what opens it: see `open_store`."""


class EngineStores:
    """Stores by their addresses, opened when a run first needs them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._opened: dict[str | Path, Store] = {}

    def get(self, address: StoreAddress) -> Store:
        """Return a store. One that was given open is its user's to close."""
        if isinstance(address, Store):
            return address
        with self._lock:
            store = self._opened.get(address)
            if store is None:
                store = self._opened[address] = open_store(address)
                # An engine that is thrown away without close() has it closed when no run has it any more.
                finalize(store, _close, store.journal, store.artifacts).atexit = False
            return store

    def close(self) -> None:
        """Close those that were opened here."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for store in opened.values():
            store.close()

    def after_fork_in_child(self) -> None:
        """Start afresh: what is open belongs to the parent."""
        self._lock = Lock()


def _close(journal: Journal, artifacts: ArtifactStore) -> None:
    artifacts.close()
    journal.close()


def checked_address(value: object, option: str) -> StoreAddress | None:
    """Return an address, that of a file absolute, or raise an error that says what it may be."""
    if value is None or isinstance(value, Store):
        return value
    if isinstance(value, Path):
        return value.absolute()
    if not isinstance(value, str):
        raise TypeError(
            f"{option}= is the address of a store such as 'sqlite:///runs.db', a path, or a Store, not "
            f"{type(value).__name__}"
        )
    if "://" not in value:
        raise ValueError(
            f"{option}={value!r} is no address of a store: 'sqlite:///{value}' is a file of that name, as is "
            f"pathlib.Path({value!r})"
        )
    if database_of(value) == "sqlite":
        # A store is where its address was written, wherever the program goes before its first run.
        return str(SqliteAddress.parse(value))
    return value

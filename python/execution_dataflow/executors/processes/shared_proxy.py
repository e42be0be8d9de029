"""Shared state across processes: it stays where the run is, and worker processes have stand-ins that ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Protocol

from execution_dataflow.shared_state import ABSENT, SharedState

__all__ = ["Parent", "RemoteState", "forget_shared", "parent", "remote_state", "set_parent", "share", "shared_of"]

# The shared states that worker processes of this process know of, by name.
_shared: dict[str, SharedState] = {}
_numbers = count()


def share(state: SharedState) -> str:
    """Return the name by which worker processes ask for a shared state."""
    key = f"{os.getpid()}.{next(_numbers)}"
    _shared[key] = state
    return key


def shared_of(key: str) -> SharedState:
    """Return the shared state that a worker process names."""
    return _shared[key]


def forget_shared(keys: Iterable[str]) -> None:
    """Let go of shared states of a run that has ended."""
    for key in keys:
        _shared.pop(key, None)


class Parent(Protocol):
    """The process that this one works for."""

    def tell(self, kind: int, data: Any) -> None:
        """Send a message, from any thread."""

    def ask(self, key: str, method: str, arguments: tuple[Any, ...]) -> Any:
        """Ask a shared state of the parent, and return the answer or raise the exception that it is."""

    def ask_state(self, run: int, what: str, arguments: tuple[Any, ...]) -> Any:
        """Ask for what is committed of persistent state; otherwise as `ask`."""


_parent: list[Parent] = []


def set_parent(parent: Parent) -> None:
    """Say whom stand-ins ask."""
    _parent[:] = [parent]


def parent() -> Parent:
    """Return the process that this one works for."""
    return _parent[0]


def remote_state(key: str) -> RemoteState:
    """Return the stand-in for a shared state; pickled contexts call this."""
    return RemoteState(key)


class RemoteState(SharedState):
    """Stands for a `SharedState` of the parent: each call is one question, and as atomic as there.

    Parameters
    ----------
    key : str
        The name of the shared state there.
    """

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def _ask(self, method: str, *arguments: Any) -> Any:
        return parent().ask(self._key, method, arguments)

    def get(self, key: str, default: Any = None) -> Any:
        """Ask for the value of a key."""
        is_there, value = self._ask("look", key)
        return value if is_there else default

    def update(self, key: str, function: Callable[[Any], Any], default: Any = ABSENT) -> Any:
        """As for `SharedState`; a function that another update came before is called once more."""
        while True:
            version, is_there, current = self._ask("read", key)
            if not is_there:
                current = default
            if current is ABSENT:
                raise KeyError(f"shared state has no {key!r} to update; give a default for the first time")
            value = function(current)
            if self._ask("replace", key, version, value):
                return value

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Ask for the value of a key, to be set if it was absent."""
        return self._ask("setdefault", key, default)

    def pop(self, key: str, default: Any = ABSENT) -> Any:
        """Ask for a key to be removed."""
        was_there, value = self._ask("take", key)
        if was_there:
            return value
        if default is ABSENT:
            raise KeyError(f"shared state has no {key!r} to remove")
        return default

    def snapshot(self) -> dict[str, Any]:
        """Ask for a copy of everything."""
        found: dict[str, Any] = self._ask("snapshot")
        return found

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"a key of shared state is a str, not {type(key).__name__}")
        self._ask("set", key, value)

    def __contains__(self, key: object) -> bool:
        return key in self.snapshot()

    def __len__(self) -> int:
        return len(self.snapshot())

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_of, (self._key,)

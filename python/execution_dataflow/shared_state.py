"""State that the operations of a process share in memory, with atomic updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from threading import RLock
from typing import Any

__all__ = ["ABSENT", "SharedState"]


class _Absent:
    """The type of the one value that says "nothing given", so that ``None`` can be a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<no default>"


ABSENT = _Absent()
"""What a key has that is not there."""


class SharedState:
    """A thread-safe mapping that every operation of the runs that use one context sees.

    Each call is atomic. Use `update` where the new value depends on the old one: a ``get`` followed by a ``set`` is two
    steps, between which another operation may come.

    Parameters
    ----------
    initial : mapping, optional
        The first contents; they are copied.

    Examples
    --------
    >>> state = SharedState({"rows": 10})
    >>> state.update("rows", lambda rows: rows + 5)
    15
    >>> state.update("files", lambda files: files + 1, default=0)
    1
    >>> state.snapshot()
    {'rows': 15, 'files': 1}
    """

    __slots__ = ("_lock", "_values")

    def __init__(self, initial: Mapping[str, Any] | None = None) -> None:
        if initial is not None and not isinstance(initial, Mapping):
            raise TypeError(f"shared state begins with a mapping, not {type(initial).__name__}")
        # Re-entrant: the function given to update() may use the state itself, and so may a __del__ that runs inside it.
        self._lock = RLock()
        self._values: dict[str, Any] = dict(initial or {})

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key.

        Parameters
        ----------
        key : str
            The key.
        default : object
            What is returned when the key is absent.

        Returns
        -------
        object
            The value, by reference.
        """
        with self._lock:
            return self._values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Set the value of a key.

        Parameters
        ----------
        key : str
            The key.
        value : object
            The value, kept by reference.
        """
        self[key] = value

    def update(self, key: str, function: Callable[[Any], Any], default: Any = ABSENT) -> Any:
        """Replace a value by a function of itself, atomically.

        Parameters
        ----------
        key : str
            The key.
        function : callable
            Takes the old value, returns the new one. Every other use of the state waits while it runs: keep it short.
            When it raises, nothing is changed.
        default : object, optional
            What the function takes when the key is absent.

        Returns
        -------
        object
            The new value.

        Raises
        ------
        KeyError
            When the key is absent and no default was given.
        """
        with self._lock:
            current = self._values.get(key, ABSENT)
            if current is ABSENT:
                current = default
            if current is ABSENT:
                raise KeyError(f"shared state has no {key!r} to update; give a default for the first time")
            value = function(current)
            self._values[key] = value
            return value

    def look(self, key: str) -> Any:
        """Return the value of a key, or `ABSENT`."""
        return self.get(key, ABSENT)

    def replace_if(self, key: str, expected: Any, value: Any) -> bool:
        """Set the value of a key if it still has the very object that `look` has found there.

        Parameters
        ----------
        key : str
            The key.
        expected : object
            What it had, or `ABSENT`.
        value : object
            What it gets.

        Returns
        -------
        bool
            Whether it was set.
        """
        with self._lock:
            if self._values.get(key, ABSENT) is not expected:
                return False
            self._values[key] = value
            return True

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, after setting it to a default if it was absent.

        Parameters
        ----------
        key : str
            The key.
        default : object
            The value to set when there is none.

        Returns
        -------
        object
            The value that the key has now.
        """
        with self._lock:
            return self._values.setdefault(key, default)

    def pop(self, key: str, default: Any = ABSENT) -> Any:
        """Remove a key and return its value.

        Parameters
        ----------
        key : str
            The key.
        default : object, optional
            What is returned when the key is absent.

        Returns
        -------
        object
            The value it had.

        Raises
        ------
        KeyError
            When the key is absent and no default was given.
        """
        with self._lock:
            value = self._values.pop(key, default)
        if value is ABSENT:
            raise KeyError(f"shared state has no {key!r} to remove")
        return value

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of everything at one moment.

        Returns
        -------
        dict
            The keys and values; the values are the same objects.
        """
        with self._lock:
            return dict(self._values)

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, ABSENT)
        if value is ABSENT:
            raise KeyError(f"shared state has no {key!r}")
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"a key of shared state is a str, not {type(key).__name__}")
        with self._lock:
            self._values[key] = value

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._values

    def __len__(self) -> int:
        with self._lock:
            return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.snapshot())

    def __repr__(self) -> str:
        keys = list(self)
        shown = ", ".join(map(repr, keys[:8]))
        return f"SharedState({shown}{', ...' if len(keys) > 8 else ''})"

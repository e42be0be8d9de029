"""What an operation uses as ``context.state``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Self

from execution_dataflow.persistent_state.overlay import StateOverlay
from execution_dataflow.persistent_state.places import Place, checked_key, checked_namespace, checked_prefix
from execution_dataflow.shared_state import ABSENT

__all__ = ["PersistentState"]


class PersistentState:
    """Keys and values that outlive the run, in one namespace, as one attempt sees them.

    What an attempt changes is seen by itself at once and by everybody else when the attempt has succeeded: it is
    committed together with its outputs. An attempt that fails leaves no trace. What was read is read once an attempt,
    and a key that was both read and changed must not have been changed by anybody else meanwhile: otherwise the attempt
    fails with a `StateConflictError`.

    Values are copied: changing what ``get`` returned, or what was given to ``put``, changes nothing here.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from execution_dataflow.persistent_state import edit_state
    >>> with TemporaryDirectory() as folder, edit_state(Path(folder, "runs.db"), "orders") as state:
    ...     state.put("watermark", 1250)
    ...     state.update("watermark", lambda watermark: watermark + 50)
    ...     state.get("cursor", 0), "cursor" in state, list(state)
    1300
    (0, False, ['watermark'])
    """

    __slots__ = ("_name", "_overlay")

    def __init__(self, overlay: StateOverlay, name: str | None = None) -> None:
        self._overlay = overlay
        self._name = name

    @property
    def name(self) -> str:
        """The name of the namespace."""
        return self._overlay.namespace if self._name is None else self._name

    def namespace(self, name: str) -> PersistentState:
        """Return the state of another namespace, which operations and graphs share that use its name.

        Parameters
        ----------
        name : str
            Its name. That of an operation is ``operation:<graph>/<operation>``.

        Returns
        -------
        PersistentState
            Part of the same attempt: its changes are committed with all others of it.
        """
        return PersistentState(self._overlay, checked_namespace(name))

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
            The value, made anew for this call. Arrays may be read-only.
        """
        value = self._look(checked_key(key))
        return default if value is ABSENT else value

    def _look(self, key: str) -> Any:
        place = Place(self.name, key)
        data = self._overlay.look(place)
        return ABSENT if data is None else self._overlay.source.decode(place.label, data)

    def put(self, key: str, value: Any) -> None:
        """Set the value of a key.

        Parameters
        ----------
        key : str
            The key. If the attempt has read it before, nobody else may have changed it since.
        value : object
            The value, as it is now.

        Raises
        ------
        UnstorableValueError
            A store cannot keep it.
        """
        place = Place(self.name, checked_key(key))
        self._overlay.write(place, self._overlay.source.encode(place.label, value))

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens if it is absent.

        Parameters
        ----------
        key : str
            The key.
        """
        self._overlay.write(Place(self.name, checked_key(key)), None)

    def compare_and_set(self, key: str, expected: Any, value: Any) -> bool:
        """Set the value of a key if it has the one that is expected.

        Parameters
        ----------
        key : str
            The key.
        expected : object
            What ``get(key)`` is to return: ``None`` if the key is to be absent.
        value : object
            What it gets.

        Returns
        -------
        bool
            Whether it was set. Arrays and tables are equal if they are stored as the same bytes.
        """
        place = Place(self.name, checked_key(key))
        overlay = self._overlay
        data = overlay.source.encode(place.label, value)
        with overlay.lock:
            current = self._look(key)
            if not self._is_same(place, None if current is ABSENT else current, expected):
                return False
            overlay.write(place, data)
            return True

    def _is_same(self, place: Place, current: Any, expected: Any) -> bool:
        # Of arrays and tables == gives another one, element by element, or raises.
        if getattr(current, "shape", ()) == () == getattr(expected, "shape", ()):
            try:
                return bool(current == expected)
            except Exception:  # of a list of arrays
                pass
        source = self._overlay.source
        return source.encode(place.label, current) == source.encode(place.label, expected)

    def update(self, key: str, function: Callable[[Any], Any], default: Any = ABSENT) -> Any:
        """Replace a value by a function of itself.

        Parameters
        ----------
        key : str
            The key.
        function : callable
            Takes the old value, returns the new one. When it raises, nothing is changed.
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
        checked_key(key)
        place = Place(self.name, key)
        with self._overlay.lock:
            current = self._look(key)
            if current is ABSENT:
                current = default
            if current is ABSENT:
                raise KeyError(f"{place.namespace} has no {key!r} to update; give a default for the first time")
            value = function(current)
            self._overlay.write(place, self._overlay.source.encode(place.label, value))
            return value

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys, sorted.

        Parameters
        ----------
        prefix : str
            What they begin with.

        Returns
        -------
        list of str
            With what this attempt has put and without what it has deleted. A key that somebody else adds meanwhile is
            no conflict.
        """
        return self._overlay.keys(self.name, checked_prefix(prefix))

    def version(self, key: str) -> int:
        """Return how often a value was committed, as this attempt has read it.

        Parameters
        ----------
        key : str
            The key.

        Returns
        -------
        int
            0 if the key is absent. What this attempt writes itself counts when it is committed.
        """
        return self._overlay.version(Place(self.name, checked_key(key)))

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Make all changes of a ``with`` block or, when it raises, none; what was changed before stays.

        They are committed with the attempt, as all its changes. Blocks may lie within each other, and changes of all
        namespaces belong to them; those of other threads and tasks of the attempt do not, unless the block has started
        them.

        Yields
        ------
        PersistentState
            This one.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from execution_dataflow.persistent_state import edit_state
        >>> with TemporaryDirectory() as folder, edit_state(Path(folder, "runs.db"), "accounts") as state:
        ...     state.put("alice", 100)
        ...     try:
        ...         with state.transaction():
        ...             state.put("alice", 70)
        ...             state.put("bob", state.get("bob") + 30)
        ...     except TypeError:
        ...         state.get("alice")
        100
        """
        with self._overlay.transaction():
            yield self

    def __contains__(self, key: str) -> bool:
        return self._overlay.look(Place(self.name, checked_key(key))) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __reduce__(self) -> NoReturn:
        raise TypeError("persistent state belongs to the attempt that uses it and cannot be passed on; pass its values")

    def __repr__(self) -> str:
        return f"<PersistentState {self.name!r}>"

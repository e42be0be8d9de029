"""What one attempt has read of the state and written over it, until it is committed or dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock

from execution_dataflow.errors import OutsideRunError
from execution_dataflow.persistent_state.places import Place
from execution_dataflow.persistent_state.source import StateSource
from execution_dataflow.stores.journal import StateChange, StateValue

__all__ = ["StateOverlay"]


class _Unwritten:
    """Stands for a place to which the attempt had written nothing."""


_UNWRITTEN = _Unwritten()


class _Transaction:
    """What the places of an overlay held before a transaction wrote to them.

    Parameters
    ----------
    overlay : StateOverlay
        Whose places they are.
    outer : _Transaction or None
        What was open around it.
    """

    __slots__ = ("before", "is_open", "outer", "overlay")

    def __init__(self, overlay: StateOverlay, outer: _Transaction | None) -> None:
        self.overlay = overlay
        self.outer = outer
        self.before: dict[Place, bytes | _Unwritten | None] = {}
        self.is_open = True


# The transaction that the code which runs here is in. Tasks and threads that it starts with its context variables are
# in it too; others of the same attempt are not, so that rolling it back leaves alone what they have written.
_current: ContextVar[_Transaction | None] = ContextVar("execution_dataflow_state_transaction", default=None)


class StateOverlay:
    """The state as one attempt sees it: what it has written itself, over what it has read from the source.

    Each place is read once, so that reads repeat; what is written is kept here, as bytes. Every method may be called
    from any thread of the attempt.

    Parameters
    ----------
    source : StateSource
        Where the state is.
    attempt : int
        The number of the attempt.
    namespace : callable
        Returns the namespace of the operation; asked at most once.
    label : callable
        Returns the name of the operation, for errors.
    """

    def __init__(
        self, source: StateSource, attempt: int, namespace: Callable[[], str], label: Callable[[], str]
    ) -> None:
        self.source = source
        self.attempt = attempt
        self._make_namespace = namespace
        self._label = label
        self._namespace: str | None = None
        self._read: dict[Place, StateValue | None] = {}
        self._listed: dict[Place, tuple[str, ...]] = {}
        self._written: dict[Place, bytes | None] = {}
        self._is_over = False
        # Re-entrant: a function that is given to update() may use the state itself.
        self.lock = RLock()

    @property
    def namespace(self) -> str:
        """The namespace of the operation."""
        with self.lock:
            if self._namespace is None:
                self._namespace = self._make_namespace()
            return self._namespace

    def look(self, place: Place) -> bytes | None:
        """Return what a place holds: what this attempt wrote to it or else what was committed; ``None`` for nothing."""
        with self.lock:
            self._check_not_over()
            if place in self._written:
                return self._written[place]
            committed = self._committed(place)
            return None if committed is None else committed.value

    def version(self, place: Place) -> int:
        """Return the version that is committed, as this attempt has read it; 0 for none."""
        with self.lock:
            self._check_not_over()
            committed = self._committed(place)
            return 0 if committed is None else committed.version

    def _committed(self, place: Place) -> StateValue | None:
        if place not in self._read:
            self._read[place] = self.source.read(*place)
        return self._read[place]

    def write(self, place: Place, value: bytes | None) -> None:
        """Let a place hold a value, or nothing."""
        with self.lock:
            self._check_not_over()
            transaction = self._transaction()
            if transaction is not None:
                transaction.before.setdefault(place, self._written.get(place, _UNWRITTEN))
            self._written[place] = value

    def keys(self, namespace: str, prefix: str) -> list[str]:
        """Return the keys that begin with a prefix, sorted, with this attempt's own changes."""
        with self.lock:
            self._check_not_over()
            listed = Place(namespace, prefix)
            if listed not in self._listed:
                self._listed[listed] = tuple(self.source.keys(namespace, prefix))
            found = set(self._listed[listed])
            for (where, key), value in self._written.items():
                if where == namespace and key.startswith(prefix):
                    (found.discard if value is None else found.add)(key)
            return sorted(found)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Take back what is written inside when it raises."""
        transaction = _Transaction(self, self._transaction())
        token = _current.set(transaction)
        try:
            yield
        except BaseException:
            with self.lock:
                transaction.is_open = False
                for place, value in transaction.before.items():
                    if isinstance(value, _Unwritten):
                        self._written.pop(place, None)
                    else:
                        self._written[place] = value
            raise
        else:
            with self.lock:
                transaction.is_open = False
                if transaction.outer is not None:
                    for place, value in transaction.before.items():
                        transaction.outer.before.setdefault(place, value)
        finally:
            _current.reset(token)

    def _transaction(self) -> _Transaction | None:
        """The innermost open transaction of this overlay that the calling code is in."""
        transaction = _current.get()
        # Of another overlay: an operation runs a graph inside a transaction.
        while transaction is not None and not (transaction.is_open and transaction.overlay is self):
            transaction = transaction.outer
        return transaction

    def finish(self) -> tuple[StateChange, ...]:
        """Return what is to be committed, sorted; nothing can be read or written here any more.

        A place that was read is to have the version still that was read. The order is that of the places, so that
        databases which lock one row after another never wait for each other in a circle.
        """
        with self.lock:
            self._is_over = True
            changes = []
            for place in sorted(self._written):
                value = self._written[place]
                expected = None
                if place in self._read:
                    committed = self._read[place]
                    if committed is None and value is None:
                        continue  # there was nothing, and there is to be nothing
                    expected = 0 if committed is None else committed.version
                changes.append(StateChange(*place, value, expected))
            return tuple(changes)

    def _check_not_over(self) -> None:
        if self._is_over:
            raise OutsideRunError(
                f"the state of {self._label()} was used when attempt {self.attempt} had ended: what it wrote then "
                "would be lost. Use context.state in execute(), and wait there for the tasks and threads that use it"
            )

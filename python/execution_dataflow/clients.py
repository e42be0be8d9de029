"""Clients of a run: connections and sessions that are made once, when first asked for, and closed when the run ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from threading import RLock
from typing import Any

from execution_dataflow.errors import OutsideRunError
from execution_dataflow.nearest import nearest_name

__all__ = ["ClientPool", "checked_factories"]


def checked_factories(clients: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of what a user gave as ``clients=``, after looking at it.

    Parameters
    ----------
    clients : mapping, optional
        Names to factories (callables without arguments), or to clients that are ready.

    Returns
    -------
    dict
        The same.

    Raises
    ------
    TypeError
        When it is no mapping, or a name is no str.
    """
    if clients is None:
        return {}
    if not isinstance(clients, Mapping):
        raise TypeError(f"clients is a mapping of names to factories, not {type(clients).__name__}")
    for name in clients:
        if not isinstance(name, str):
            raise TypeError(f"the name of a client is a str, not {type(name).__name__}")
    return dict(clients)


class _Slot:
    """The place of one client: its factory, its lock, and what came of it."""

    __slots__ = ("client", "close", "lock", "made", "making", "source")

    def __init__(self, source: Any) -> None:
        self.source = source
        self.lock = RLock()
        self.made = False
        self.making = False
        self.client: Any = None
        self.close: Callable[[], Any] | None = None


class ClientPool:
    """The clients of one run, by name: ``clients["db"]`` or ``clients.db``.

    A callable is a factory: it is called without arguments when its client is first asked for, once a run, and what it
    made is closed when the run ends, in reverse order of making: by ``close()``, by ``aclose()``, or, for a context
    manager that has neither, by leaving it (then the client is what entering it gave). What closes asynchronously does
    so on the event loop of the run's coroutines. Anything that is not callable is a client that is ready: it is handed
    out as it is and stays open, since it belongs to whoever made it.

    Parameters
    ----------
    clients : mapping, optional
        Names to factories or to ready clients.

    Examples
    --------
    >>> import io
    >>> pool = ClientPool({"buffer": io.StringIO})
    >>> pool.buffer is pool["buffer"]
    True
    >>> buffer = pool.buffer
    >>> pool.close()
    []
    >>> buffer.closed
    True
    """

    __slots__ = ("_closed", "_lock", "_order", "_slots")

    def __init__(self, clients: Mapping[str, Any] | None = None) -> None:
        self._slots = {name: _Slot(source) for name, source in checked_factories(clients).items()}
        self._lock = RLock()
        self._order: list[str] = []
        self._closed = False

    def __getitem__(self, name: str) -> Any:
        slot = self._slots.get(name)
        if slot is None:
            raise KeyError(self._unknown(name))
        with slot.lock:
            if self._closed:
                raise OutsideRunError(f"client {name!r} was asked for after its run ended and its clients were closed")
            if not slot.made:
                self._make(name, slot)
            return slot.client

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a protocol's question (copy, pickle) or a slot not set yet, not a client's name
            raise AttributeError(name)
        if name not in self._slots:
            raise AttributeError(self._unknown(name))
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._slots

    def __iter__(self) -> Iterator[str]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __repr__(self) -> str:
        made = ", ".join(f"{name!r}: {'made' if slot.made else 'not made yet'}" for name, slot in self._slots.items())
        return f"ClientPool({{{made}}}{', closed' if self._closed else ''})"

    @property
    def has_open(self) -> bool:
        """Whether a factory has made a client that was not closed yet."""
        return bool(self._order)

    def close(self, run_awaitable: Callable[[Awaitable[Any]], Any] | None = None) -> list[tuple[str, BaseException]]:
        """Close what the factories made, the last one first. A second call does nothing.

        Parameters
        ----------
        run_awaitable : callable, optional
            Runs an awaitable to its end, for clients that close asynchronously. The default runs it on an event loop of
            its own.

        Returns
        -------
        list of (str, BaseException)
            The clients that could not be closed, and why; the others are closed all the same.
        """
        with self._lock:
            if self._closed:
                return []
            # A factory that is still at work sees this when it is done, and closes what it made.
            self._closed = True
            order, self._order = self._order, []
        faults: list[tuple[str, BaseException]] = []
        for name in reversed(order):
            slot = self._slots[name]
            close, slot.close, slot.client = slot.close, None, None
            fault = _close(close, run_awaitable)
            if fault is not None:
                faults.append((name, fault))
        return faults

    def _make(self, name: str, slot: _Slot) -> None:
        if not callable(slot.source):
            slot.client, slot.made = slot.source, True
            return
        if slot.making:
            raise RuntimeError(f"the factory of client {name!r} asks for client {name!r} itself")
        slot.making = True
        try:
            client, close = _open(name, slot.source)
        except Exception as error:
            # The factory's name and not its repr: a partial would show its arguments, the password among them.
            factory = getattr(slot.source, "__qualname__", type(slot.source).__name__)
            error.add_note(f"while making client {name!r}: {factory} was called without arguments, as its factory")
            raise
        finally:
            slot.making = False
        with self._lock:
            late = self._closed
            if not late:
                slot.client, slot.close, slot.made = client, close, True
                self._order.append(name)
        if late:
            _close(close, None)
            raise OutsideRunError(f"the run ended while client {name!r} was being made; it was closed again")

    def _unknown(self, name: str) -> str:
        nearest = nearest_name(str(name), self._slots)
        suggestion = f"; did you mean {nearest!r}?" if nearest else "."
        known = ", ".join(map(repr, self._slots)) or "none were given: ExecutionContext(clients={name: factory})"
        return f"no client {name!r}{suggestion} The clients of this run: {known}."


def _open(name: str, factory: Callable[[], Any]) -> tuple[Any, Callable[[], Any] | None]:
    """Call a factory; return its client and the way to close it."""
    client = factory()
    if isinstance(client, Coroutine):
        client.close()  # or Python warns that it was never awaited
        raise TypeError(
            f"the factory of client {name!r} is a coroutine function; give a plain function that returns it"
        )
    for method in ("close", "aclose"):
        close = getattr(client, method, None)
        if callable(close):
            return client, close
    if hasattr(type(client), "__enter__") and hasattr(type(client), "__exit__"):
        manager = client
        return manager.__enter__(), lambda: manager.__exit__(None, None, None)
    return client, None


def _close(
    close: Callable[[], Any] | None, run_awaitable: Callable[[Awaitable[Any]], Any] | None
) -> BaseException | None:
    if close is None:
        return None
    try:
        pending = close()
        if isinstance(pending, Awaitable):
            (run_awaitable or _run_on_own_loop)(pending)
    except KeyboardInterrupt:
        raise
    except BaseException as fault:  # an asyncio.CancelledError or SystemExit must not end the run either
        return fault
    return None


def _run_on_own_loop(pending: Awaitable[Any]) -> None:
    import asyncio
    from threading import Thread

    async def wait_for_it() -> None:
        await pending

    # A thread of its own: the calling one may be running an event loop already (a notebook).
    faults: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(wait_for_it())
        except BaseException as fault:
            faults.append(fault)

    thread = Thread(target=work, name="dataflow-close-clients")
    thread.start()
    thread.join()
    if faults:
        raise faults[0]

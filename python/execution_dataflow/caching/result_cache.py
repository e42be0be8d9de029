"""The cache of results: what operations with ``cache=True`` have computed, in a store, across runs and processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from execution_dataflow._core import MISSING
from execution_dataflow.byte_limits import checked_bytes
from execution_dataflow.caching.claims import Claims
from execution_dataflow.caching.entries import CacheEntry, entry_of, is_of
from execution_dataflow.caching.eviction import Limits
from execution_dataflow.caching.keeper import Keeper
from execution_dataflow.caching.policy import CachePolicy, checked_entries, checked_expiry
from execution_dataflow.caching.touches import Touches
from execution_dataflow.caching.user_directory import file_of, user_cache_address
from execution_dataflow.process_life import ExitStep, watch
from execution_dataflow.stores.journal import CachedResult
from execution_dataflow.stores.opening import Store, open_store
from execution_dataflow.stores.owners import new_owner

if TYPE_CHECKING:
    from execution_dataflow.storage_formats.codec import ValueCodec

__all__ = ["DEFAULT_BYTES", "ResultCache"]

DEFAULT_BYTES = 10_000_000_000
"""What the cache of a user may take who has said nothing else: about what compiler caches take."""

# A store that fails is left alone for a while: each operation would wait for the same timeout.
_FAILURES_IN_A_ROW = 3
_REST_SECONDS = 30.0


class _Opened(NamedTuple):
    """What there is once the store is open."""

    store: Store
    claims: Claims
    touches: Touches
    keeper: Keeper
    codec: ValueCodec


class ResultCache:
    """Results of operations that are kept across runs, for ``ExecutionEngine(cache=...)``.

    It may serve several engines, processes and machines at once. The store is opened when it is first needed.

    Parameters
    ----------
    store : str, Path or Store, optional
        Where results lie: an address for `open_store`, such as ``"sqlite:///results.db"``, a path of such a file, or a
        store that is open, which stays the caller's to close. The default is the cache of the user; see
        `docs/caching.md`.
    max_bytes : int or str, optional
        What all results may take together, in bytes or as ``"20 GB"``; those that were used longest ago go first. No
        limit by default, and 10 GB for the cache of the user.
    max_entries : int, optional
        How many there may be.
    expires_seconds : float, optional
        For how long results are used whose operations do not say so.
    wait_seconds : float
        How long an operation waits for somebody else who computes the same; then it computes that itself.
    claim_seconds : float
        How long other machines wait after a process was killed that was computing something. (On the same machine it
        is seen at once.)

    Raises
    ------
    TypeError, ValueError
        A parameter is of the wrong type or out of its range.

    Examples
    --------
    >>> import tempfile
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, operation
    >>> @operation(cache=True)
    ... def square(x: int) -> int:
    ...     print("computing")
    ...     return x * x
    >>> graph = GraphDefinition("squares")
    >>> nine = graph.add(square, x=3)
    >>> directory = tempfile.TemporaryDirectory()
    >>> with ResultCache(f"sqlite:///{directory.name}/results.db") as cache, ExecutionEngine(cache=cache) as engine:
    ...     first, second = engine.run(graph), engine.run(graph)
    ...     [entry.operation.rpartition(".")[2] for entry in cache.entries()]
    computing
    ['square']
    >>> first.get_output(nine), second.get_output(nine), second.cached
    (9, 9, {'square': 1})
    >>> directory.cleanup()
    """

    def __init__(
        self,
        store: str | Path | Store | None = None,
        *,
        max_bytes: int | str | None = None,
        max_entries: int | None = None,
        expires_seconds: float | None = None,
        wait_seconds: float = 600.0,
        claim_seconds: float = 30.0,
    ) -> None:
        if not isinstance(store, str | Path | Store | None):
            raise TypeError(f"ResultCache takes an address, a path or a Store, not {type(store).__name__}")
        if isinstance(store, str) and "://" not in store:
            raise ValueError(
                f"{store!r} is no address of a store: 'sqlite:///{store}' is a file of that name, as is "
                f"pathlib.Path({store!r})"
            )
        own = checked_bytes("ResultCache.max_bytes", max_bytes)
        if own is None and store is None:
            own = DEFAULT_BYTES
        self._given = store
        self._limits = Limits(own, checked_entries("ResultCache", max_entries))
        self._expires_seconds = checked_expiry("ResultCache", expires_seconds)
        self.wait_seconds = _seconds("wait_seconds", wait_seconds)
        self._claim_seconds = _seconds("claim_seconds", claim_seconds, least=1.0)
        self._lock = threading.Lock()
        self._open: _Opened | None = None
        self._is_closed = False
        self._failures = 0
        self._rests_until = 0.0
        watch(self)

    # ------------------------------------------------------------ for users

    @property
    def address(self) -> str:
        """Where it lies, without passwords.

        Raises
        ------
        StoreError
            It cannot be opened.
        """
        return self._opened().store.journal.address

    def entries(self, operation: str | None = None) -> list[CacheEntry]:
        """Return what there is, the one that was used longest ago first; what has expired and is not gone yet too.

        Parameters
        ----------
        operation : str, optional
            Only what this class or function has computed: its name, with or without its module.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        opened = self._opened()
        return [entry for entry in opened.keeper.entries() if operation is None or is_of(entry.operation, operation)]

    def clear(
        self, operation: str | None = None, *, expired: bool = False, keys: Sequence[str] | None = None
    ) -> list[CacheEntry]:
        """Delete results: all of them, or those that every argument means.

        Parameters
        ----------
        operation : str, optional
            Only what this class or function has computed: its name, with or without its module.
        expired : bool
            Only what has expired.
        keys : sequence of str, optional
            Only these.

        Returns
        -------
        list of CacheEntry
            What is gone.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        now, wanted = time.time(), None if keys is None else set(keys)
        gone = [
            entry
            for entry in self.entries(operation)
            if (not expired or entry.is_expired(now)) and (wanted is None or entry.key in wanted)
        ]
        self._opened().keeper.delete(gone)
        return gone

    def evict(self) -> list[CacheEntry]:
        """Delete what has expired, and what is beyond the limits; this happens by itself while results are added.

        Returns
        -------
        list of CacheEntry
            What is gone; nothing where another process does the same at this moment.

        Raises
        ------
        StoreError
            The store cannot be read or written.
        """
        opened = self._opened()
        opened.keeper.wait()
        return opened.keeper.evict()

    def flush(self) -> None:
        """Write what is left to write: when results were last used.

        Raises
        ------
        StoreError
            The store cannot be written.
        """
        opened = self._open
        if opened is not None:
            opened.touches.flush()

    def close(self) -> None:
        """Write what is left to write, and close the store if its address was given. A second call does nothing."""
        with self._lock:
            opened, self._open = self._open, None
            self._is_closed = True
        if opened is None:
            return
        opened.claims.close()
        try:
            opened.keeper.wait()
            opened.touches.flush()
        finally:
            if not isinstance(self._given, Store):
                opened.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        given = self._given
        if isinstance(given, Store):
            where = given.address
        elif given is None:
            where = "of the user"
        else:
            # What was given may have a password in it.
            where = self._open.store.address if self._open is not None else "not open yet"
        return f"<ResultCache {where}>"

    # ------------------------------------------------------------ for the engine

    def after_fork_in_child(self) -> None:
        """Start afresh: what is open belongs to the parent."""
        self._lock = threading.Lock()
        self._open = None

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Write what is left to write: nobody has to close the cache of the user."""
        if step is ExitStep.CLOSE:
            # The program is over, and results seem to have been used longer ago.
            with suppress(Exception):
                self.flush()

    @property
    def is_resting(self) -> bool:
        """Whether it is not asked now, since its store has failed several times in a row."""
        return self._rests_until > 0.0 and time.monotonic() < self._rests_until

    def note_failure(self) -> None:
        """Note that its store has failed."""
        with self._lock:
            self._failures += 1
            if self._failures >= _FAILURES_IN_A_ROW:
                self._failures, self._rests_until = 0, time.monotonic() + _REST_SECONDS

    def note_success(self) -> None:
        """Note that its store has not failed."""
        if self._failures:
            self._failures = 0

    def find(self, key: str) -> CachedResult | None:
        """Return a result that was kept, and has not expired.

        Raises
        ------
        StoreError
            The store cannot be read.
        """
        return self._opened().store.journal.find_cached(key)

    def read(self, found: CachedResult) -> list[object]:
        """Return the values of the outputs of a result, ``_core.MISSING`` for what was not set.

        Raises
        ------
        ArtifactNotFoundError, DamagedArtifactError, UntrustedArtifactError, StoreError
            They cannot be read.
        """
        opened = self._opened()
        values = opened.codec.decode_outputs(
            found.outputs, MISSING, bound_to=found.key.encode(), what=f"the cached result {found.key[:12]}"
        )
        opened.touches.note(found)
        return values

    def forget(self, found: CachedResult) -> None:
        """Delete a result that cannot be used.

        Raises
        ------
        StoreError
            The store cannot be written.
        """
        self._opened().keeper.delete([entry_of(found)])

    def claim(self, key: str) -> bool:
        """Tell other processes that this one computes a result; ``False`` if another one does.

        Raises
        ------
        StoreError
            The store cannot be asked.
        """
        return self._opened().claims.take(f"cache/{key}")

    def give_back(self, key: str) -> None:
        """Tell other processes that this one does not any more.

        Raises
        ------
        StoreError
            The store cannot be told; the claim ends with its time.
        """
        self._opened().claims.give_back(f"cache/{key}")

    def save(
        self,
        key: str,
        operation: str,
        policy: CachePolicy,
        names: Sequence[str],
        values: Sequence[Any],
        seconds: float,
        replaces: bool,
    ) -> None:
        """Keep a result.

        Parameters
        ----------
        key : str
            What it was computed from.
        operation : str
            The class or function, with its module.
        policy : CachePolicy
            What the operation asks for.
        names : sequence of str
            The outputs.
        values : sequence of object
            Their values, ``_core.MISSING`` for what was not set.
        seconds : float
            How long it took to compute.
        replaces : bool
            Whether somebody else may have put one of the same key there.

        Raises
        ------
        UnstorableValueError
            A value cannot be stored.
        ValueError
            It is larger than what may be kept.
        StoreError
            The store cannot be written.
        """
        opened = self._opened()
        journal = opened.store.journal
        encoded = opened.codec.encode_outputs(names, values, MISSING, bound_to=key.encode())
        own = Limits(policy.max_bytes, policy.max_entries)  # type: ignore[arg-type] # a policy has made it a number
        try:
            most = min((size for size in (own.max_bytes, self._limits.max_bytes) if size is not None), default=None)
            if most is not None and encoded.size > most:
                raise ValueError(f"it takes {encoded.size:,} bytes, and the cache may take {most:,}")
            now, expires = time.time(), policy.expires_seconds or self._expires_seconds
            made = CachedResult(
                key,
                operation,
                encoded.record,
                encoded.artifacts,
                encoded.size,
                seconds,
                now,
                now,
                None if expires is None else now + expires,
            )
            before = journal.find_cached(key) if replaces else None
            journal.put_cached(made)
        except BaseException:
            opened.keeper.delete_artifacts(encoded.artifacts)
            raise
        if before is not None:
            opened.keeper.delete_artifacts(before.artifacts)
        opened.keeper.note_saved(entry_of(made), own)

    def _opened(self) -> _Opened:
        opened = self._open
        if opened is not None:
            return opened
        with self._lock:
            if self._is_closed:
                raise ValueError("this ResultCache was closed")
            if self._open is None:
                self._open = self._newly_opened()
            return self._open

    def _newly_opened(self) -> _Opened:
        from execution_dataflow.storage_formats.codec import ValueCodec

        given = self._given
        store = given if isinstance(given, Store) else open_store(_of_user() if given is None else given)
        owner = new_owner()
        touches = Touches(store.journal)
        trusts_pickles = store.trust_pickles or (store.journal.is_local and store.artifacts.is_local)
        return _Opened(
            store,
            Claims(store.journal, owner, self._claim_seconds),
            touches,
            Keeper(store.journal, store.artifacts, owner, touches, self._limits),
            ValueCodec(store.artifacts, key=store.key, trusts_pickles=trusts_pickles, prefix="cache"),
        )


def _of_user() -> str:
    address = user_cache_address()
    file = file_of(address)
    if file is not None:
        # Nobody else is to write there: pickles are read from it.
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return address


def _seconds(name: str, value: object, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"ResultCache({name}=) must be a number of seconds, not {value!r}")
    if not isfinite(value) or value < least:
        raise ValueError(f"ResultCache({name}=) must be {least:g} or more seconds, not {value!r}")
    return float(value)

"""Artifacts as objects of a bucket."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.store_errors import ArtifactNotFoundError, DamagedArtifactError, StoreError, StoreFormatError
from execution_dataflow.stores.artifact_names import check_artifact_name
from execution_dataflow.stores.artifacts import ArtifactInfo, ArtifactStore, Bytes
from execution_dataflow.stores.objects.addresses import ObjectAddress
from execution_dataflow.stores.objects.faults import explained, is_about_the_bucket

__all__ = ["ObjectArtifacts", "open_artifacts"]

_Result = TypeVar("_Result")

# Written once into each store: it tells its format, and that one may write there, before a run depends on it.
_MARK = "execution-dataflow.store"
_FORMAT = b'{"execution-dataflow": "artifacts", "format": 1}\n'

# What is larger goes up in parts of this size, or of as many bytes as keep them below S3's 10,000.
_PART = 8 << 20
_MOST_PARTS = 9_000
_PARTS_AT_ONCE = 4
# What is larger comes down in pieces, several at once: one connection to S3 carries some 80 MB a second.
_WHOLE = 32 << 20
_PIECE = 8 << 20
_PIECES_AT_ONCE = 8
# How often a read begins again because the object was replaced under it.
_READS = 5
# A server that is not there when a store is opened is more likely a wrong address than a restart.
_SECONDS_TO_OPEN = 10.0

# The options that are used most, to tell what a misspelt one was meant to be.
_OPTIONS = (
    "access_key_id",
    "account_key",
    "account_name",
    "allow_http",
    "endpoint",
    "region",
    "retry_seconds",
    "sas_key",
    "secret_access_key",
    "service_account",
    "session_token",
    "skip_signature",
)

# The process whose threads obstore has started: they are not in a process that is forked from it.
_process_of_threads: list[int] = []


def open_artifacts(address: str) -> ArtifactStore:
    """Open a store of artifacts in a bucket.

    Parameters
    ----------
    address : str
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``, with options after a question mark:
        ``endpoint`` names a server other than the cloud's own, ``retry_seconds`` for how long requests are repeated
        (60), and others are those of obstore's stores. Keys that are not in it come from the environment.

    Raises
    ------
    ValueError
        It is no address of a bucket, or has an option that obstore does not know.
    MissingExtraError
        obstore is not installed.
    StoreFormatError
        What is there is of another version of this package.
    StoreError
        The bucket does not exist, cannot be reached, or may not be written.
    """
    return ObjectArtifacts(address)


class ObjectArtifacts:
    """Artifacts as objects of a bucket of S3, Azure or Google Cloud, or of a server that speaks like S3.

    An object is there at once or not at all, and what `write` returned for is as durable as the cloud says. What is
    larger than 8 MiB is written in parts; parts of a write that never ended stay in the bucket, unseen, until a rule of
    its life cycle removes them. A process that is forked after the library was used in its parent cannot use it, since
    its threads are missing there: an error says so.

    Parameters
    ----------
    address : str or ObjectAddress
        Where it is; see `open_artifacts`.
    store : obstore store, optional
        What to use instead of making one from the address, such as one with a ``credential_provider``.
    """

    def __init__(self, address: str | ObjectAddress, *, store: Any = None) -> None:
        try:
            import obstore
        except ImportError:
            raise MissingExtraError("objects", "a store of artifacts in a bucket") from None
        self._place = ObjectAddress.parse(address) if isinstance(address, str) else address
        self._library = obstore
        self._faults: tuple[type[Exception], ...] = (obstore.exceptions.BaseError, OSError)
        self._closed = False
        self._store = _made(self._place, self._place.retry_seconds) if store is None else store
        seconds = min(_SECONDS_TO_OPEN, self._place.retry_seconds)
        self._check_mark(_made(self._place, seconds) if store is None else store, seconds)

    @property
    def address(self) -> str:
        """What opens it again, for messages: no key is in it."""
        return str(self._place)

    @property
    def is_local(self) -> bool:
        """``False``: whoever may write to the bucket may have written what is read."""
        return False

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        """Write an artifact; see `ArtifactStore.write`."""
        _check_name(name)
        views = [memoryview(part).cast("B") for part in parts]
        size = sum(view.nbytes for view in views)

        def put() -> None:
            if size <= _PART:
                self._library.put(self._store, name, b"".join(views), use_multipart=False)
                return
            part = max(_PART, -(-size // _MOST_PARTS))
            pieces = _pieces(views, part)
            self._library.put(
                self._store, name, pieces, use_multipart=True, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
            )

        self._asking(put, f"write {name!r}")

    def read(self, name: str) -> memoryview:
        """Return what was written; see `ArtifactStore.read`."""
        _check_name(name)
        deadline = time.monotonic() + self._place.retry_seconds
        changes = 0
        while changes < _READS:
            try:
                found = self._asking(lambda: self._read_once(name), f"read {name!r}", name)
            except StoreError as error:
                # Not every version of the library asks again for an answer that breaks off.
                if "body error" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                if found is not None:
                    return found
                changes += 1
        raise DamagedArtifactError(name, f"it changed while it was read, {_READS} times")

    def delete(self, name: str) -> None:
        """Delete an artifact; see `ArtifactStore.delete`."""
        _check_name(name)

        def delete() -> None:
            try:
                self._library.delete(self._store, name)
            except FileNotFoundError as error:
                if is_about_the_bucket(error):
                    raise

        self._asking(delete, f"delete {name!r}")

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        """Yield what is there, in no order; see `ArtifactStore.list`."""
        # A cloud's prefix, as the library sees it, ends where a part of a name does.
        folder = prefix.rpartition("/")[0]
        pages = self._asking(lambda: self._library.list(self._store, folder or None, chunk_size=1000), "list")
        while page := self._asking(lambda: next(iter(pages), None), "list"):
            for entry in page:
                name = entry["path"]
                if name.startswith(prefix) and name != _MARK:
                    yield ArtifactInfo(name, entry["size"], entry["last_modified"].timestamp())

    def close(self) -> None:
        """End the use of this object; the library closes idle connections. A second call does nothing."""
        self._closed = True

    def __repr__(self) -> str:
        return f"<ObjectArtifacts {self.address}>"

    # ------------------------------------------------------------ inside

    def _asking(self, ask: Callable[[], _Result], doing: str, name: str | None = None) -> _Result:
        """Return what a request returns; with a name, what does not exist is an artifact of that name."""
        if self._closed:
            raise StoreError(f"the store {self.address} is closed")
        _check_process(self._place)
        try:
            return ask()
        except self._faults as error:
            if name is not None and isinstance(error, FileNotFoundError) and not is_about_the_bucket(error):
                raise ArtifactNotFoundError(name) from None
            fault = explained(error, self._place, doing, self._place.retry_seconds)
            raise fault from fault.__cause__

    def _read_once(self, name: str) -> memoryview | None:
        """Read it, all at once or in pieces; ``None`` if it was replaced meanwhile."""
        answer = self._library.get(self._store, name)
        size = answer.meta["size"]
        if size <= _WHOLE:
            data = memoryview(answer.bytes())
            return data if data.nbytes == size else None
        seal = answer.meta["e_tag"]
        # Its body, which nobody reads, ends with it.
        del answer
        whole = bytearray(size)
        room = memoryview(whole)

        # The library's own call for many ranges makes one of those that follow each other.
        def fetch(start: int) -> bool:
            end = min(start + _PIECE, size)
            piece = memoryview(self._library.get_range(self._store, name, start=start, end=end))
            if piece.nbytes != end - start:
                return False
            room[start:end] = piece
            return True

        with ThreadPoolExecutor(_PIECES_AT_ONCE, thread_name_prefix="read artifact") as threads:
            complete = all(threads.map(fetch, range(0, size, _PIECE)))
        if not complete or self._library.head(self._store, name)["e_tag"] != seal:
            return None
        return room.toreadonly()

    def _check_mark(self, store: Any, seconds: float) -> None:
        """Find out whether the bucket is there and may be used, and that it is of this format."""
        _check_process(self._place)
        try:
            try:
                found = bytes(self._library.get(store, _MARK).bytes())
            except FileNotFoundError as error:
                if is_about_the_bucket(error):
                    raise
                found = b""
            except self._library.exceptions.PermissionDeniedError:
                # Who may read and not list is told of nothing that it does not exist.
                found = b""
            if not found:
                self._library.put(store, _MARK, _FORMAT, use_multipart=False)
                found = _FORMAT
        except self._faults as error:
            fault = explained(error, self._place, "open the store", seconds)
            raise fault from fault.__cause__
        if found != _FORMAT:
            raise StoreFormatError(
                f"{self.address}: the object {_MARK!r} there says {found[:80]!r}, and this version of "
                f"execution-dataflow reads {_FORMAT!r}: use the version that wrote it, or another prefix"
            )


def _made(place: ObjectAddress, retry_seconds: float) -> Any:
    """Return obstore's store of an address."""
    from obstore import exceptions
    from obstore import store as stores

    kinds: dict[str, Any] = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
    # The time decides, not the number: that many retries do not fit in.
    retry = {
        "max_retries": 1_000_000 if retry_seconds else 0,
        "retry_timeout": timedelta(seconds=retry_seconds),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }
    # The library's own limit for a whole request would end a part on a slow line.
    client = {"connect_timeout": "5s", "timeout": "300s", **place.client_options}
    try:
        return kinds[place.kind](
            place.bucket,
            prefix=place.prefix or None,
            config=place.config or None,
            client_options=client,
            retry_config=retry,
        )
    except exceptions.UnknownConfigurationKeyError as error:
        raise ValueError(f"{place}: {str(error).partition(chr(10))[0]}{_nearest(place.config)}") from None
    except (exceptions.BaseError, OSError) as error:
        fault = explained(error, place, "open the store", retry_seconds)
        raise fault from fault.__cause__


def _nearest(options: Iterable[str]) -> str:
    """What is meant by an option that does not exist, as far as it looks like one that is often used."""
    guesses = {name: nearest_name(name, _OPTIONS) for name in options if name not in _OPTIONS}
    return "".join(f" Did you mean {guess}= and not {name}=?" for name, guess in guesses.items() if guess)


def _check_process(place: ObjectAddress) -> None:
    """Refuse to wait for threads that a fork has not brought along: it would never end."""
    if not _process_of_threads:
        _process_of_threads.append(os.getpid())
    if _process_of_threads[0] != os.getpid():
        raise StoreError(
            f"{place}: this process was forked from one that had used obstore, whose threads are missing here: start "
            "processes by 'spawn' or 'forkserver', or let the parent read and write artifacts"
        )


def _check_name(name: str) -> None:
    check_artifact_name(name)
    if name == _MARK:
        raise ValueError(f"the name {name!r} is taken: that object tells the format of the store")


def _pieces(views: Sequence[memoryview], size: int) -> Iterator[memoryview]:
    for view in views:
        for start in range(0, view.nbytes, size):
            yield view[start : start + size]

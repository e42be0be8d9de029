"""The connection to a Redis server: asks again while it is away, and waits for its disk where it can."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.store_errors import StoreError, StoreFormatError
from execution_dataflow.stores.redis.addresses import RedisAddress
from execution_dataflow.stores.redis.records import split_records
from execution_dataflow.stores.redis.scripts import SCAN, Script

__all__ = ["Server"]

_Result = TypeVar("_Result")

_log = logging.getLogger("execution_dataflow.stores")

_FORMAT = b"1"
_OLDEST = (6, 2)
_WAITAOF_SINCE = (7, 2)
# A server that is not there when a store is opened is more likely a wrong address than a restart.
_SECONDS_TO_OPEN = 5.0
# What a Redis server takes as one value, less room for what is beside it: proto-max-bulk-len is 512 MB by default.
_LARGEST_REQUEST = 500 << 20
# Entries of the first page of a hash, which may be large ones; later pages have as many as make up so many bytes.
_FIRST_PAGE = 100
_LARGEST_PAGE = 5_000
_PAGE_BYTES = 2 << 20


class Server:
    """A Redis server, and the keys of one store there.

    Threads may share it. A process that forks may, too: the library gives the child connections of its own.

    Parameters
    ----------
    address : RedisAddress
        Where it is.

    Raises
    ------
    MissingExtraError
        redis-py is not installed.
    StoreFormatError
        What lies under the prefix is of another version of this package.
    StoreError
        It cannot be reached, refuses the password, is too old, or is a part of a cluster.
    """

    def __init__(self, address: RedisAddress, *, _checked_by: Server | None = None) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            raise MissingExtraError("redis", "a store on Redis") from None
        self.address = address
        self.prefix = f"{{{address.prefix}}}".encode("utf-8", "surrogatepass")
        self._closed = False
        self._waits_for_disk = False
        self._errors = redis.exceptions
        # Repeating is done here, for a time that is stated, and not again inside of the library.
        self._client = redis.Redis(retry=Retry(NoBackoff(), 0), **address.library_options)
        if _checked_by is not None:
            self._waits_for_disk = _checked_by.waits_for_disk
            return
        try:
            self._retrying(self._check, min(_SECONDS_TO_OPEN, address.retry_seconds))
        except BaseException:
            self._client.close()
            raise

    def __repr__(self) -> str:
        return f"<Server {self.address}>"

    @property
    def waits_for_disk(self) -> bool:
        """Whether a write is answered after it is on the server's disk because this client waits for it (WAITAOF)."""
        return self._waits_for_disk

    def key(self, kind: str, *names: str) -> bytes:
        """Return the key of something: the prefix in braces, which tell the cluster's slot, then what it is."""
        return self.prefix + ":".join((kind, *names)).encode("utf-8", "surrogatepass")

    def command(self, *command: Any) -> Any:
        """Send a command that may be repeated, and return its answer."""
        return self._retrying(lambda: self._client.execute_command(*command), self.address.retry_seconds)

    def ask(self, script: Script, keys: list[bytes], *arguments: Any) -> Any:
        """Run a script that may be repeated, and return its answer: it writes nothing, or nothing that must last."""
        return self._retrying(lambda: self._run(script, keys, arguments), self.address.retry_seconds)

    def write(self, script: Script, keys: list[bytes], *arguments: Any) -> Any:
        """Run a script that may be repeated; return its answer once what it wrote is as safe as the server can say."""
        size = sum(len(argument) for argument in arguments if isinstance(argument, bytes))
        if size > _LARGEST_REQUEST:
            raise StoreError(f"{self.address}: one request of {size:,} bytes is more than a Redis server takes")
        return self._retrying(lambda: self._run_to_disk(script, keys, arguments), self.address.retry_seconds)

    def scan(self, table: bytes, wanted: str, pattern: bytes = b"*") -> Iterator[list[bytes]]:
        """Yield the entries of a hash, many at a time; one may come twice.

        Parameters
        ----------
        table : bytes
            The key of the hash.
        wanted : str
            ``"1"`` for the fields, ``"2"`` for the values, ``"both"`` for both, the field first.
        pattern : bytes
            What the fields match.
        """
        cursor, count = b"0", _FIRST_PAGE
        while True:
            cursor, lengths, page = self.ask(SCAN, [table], cursor, count, pattern, wanted)
            if lengths:
                yield split_records(lengths, page)
            if cursor == b"0":
                return
            # The server does nothing else while it puts a page together.
            scale = _PAGE_BYTES / max(len(page), 1)
            count = max(10, min(_LARGEST_PAGE, int(count * min(max(scale, 0.1), 4.0))))

    def again(self) -> Server:
        """Return a second connection to the same store."""
        return Server(self.address, _checked_by=self)

    def close(self) -> None:
        """Close the connections."""
        self._closed = True
        self._client.close()

    # ------------------------------------------------------------ one attempt

    def _run(self, script: Script, keys: list[bytes], arguments: tuple[Any, ...]) -> Any:
        try:
            return self._client.execute_command("EVALSHA", script.name, len(keys), *keys, *arguments)
        except self._errors.NoScriptError:
            return self._client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)

    def _run_to_disk(self, script: Script, keys: list[bytes], arguments: tuple[Any, ...]) -> Any:
        if not self._waits_for_disk:
            return self._run(script, keys, arguments)
        answer, on_disk = self._both("EVALSHA", script.name, len(keys), *keys, *arguments)
        if isinstance(answer, self._errors.NoScriptError):
            answer, on_disk = self._both("EVAL", script.text, len(keys), *keys, *arguments)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(on_disk, self._errors.ResponseError):
            # Somebody has switched the file off, for all clients.
            self._waits_for_disk = False
            _log.warning("%s does not write to disk any more: %s", self.address, on_disk)
        elif isinstance(on_disk, Exception):
            raise on_disk
        elif not on_disk[0]:
            raise _NotOnDisk("the server did not report in time that what was written is on its disk")
        return answer

    def _both(self, *command: Any) -> list[Any]:
        """A command and the wait for its effects, on one connection: the server waits for what came through that."""
        milliseconds = int(self.address.timeout_seconds * 500)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.execute_command(*command)
        pipeline.execute_command("WAITAOF", 1, 0, milliseconds)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    # ------------------------------------------------------------ again and again

    def _retrying(self, attempt: Callable[[], _Result], seconds: float) -> _Result:
        """Return what an attempt returns, and repeat it for so many seconds while the server cannot be reached."""
        deadline = time.monotonic() + seconds
        pause = 0.02
        while True:
            if self._closed:
                raise StoreError(f"the store {self.address} is closed")
            try:
                return attempt()
            except self._errors.RedisError as error:
                left = deadline - time.monotonic()
                if not self._passes(error):
                    raise self._explained(error, 0.0) from error
                if left <= 0:
                    raise self._explained(error, seconds) from error
            except _NotOnDisk as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise StoreError(f"{self.address}: {error}, and was asked for {seconds:g} s") from None
            time.sleep(min(pause * random.uniform(0.5, 1.0), left))
            pause = min(pause * 2, 1.0)

    def _passes(self, error: Exception) -> bool:
        """Whether a fault is one that a restart, a change of the master or patience may end."""
        errors = self._errors
        if isinstance(error, (errors.AuthenticationError, errors.AuthorizationError)):
            return False
        if isinstance(error, errors.ReadOnlyError):
            # The name may lead to another server by now.
            self._client.connection_pool.disconnect(inuse_connections=False)
            return True
        if isinstance(error, (errors.ConnectionError, errors.TimeoutError, errors.MasterDownError)):
            return not isinstance(error, errors.MaxConnectionsError)
        return isinstance(error, errors.ResponseError) and str(error).startswith(("BUSY ", "LOADING ", "TRYAGAIN "))

    def _explained(self, error: Exception, seconds: float) -> StoreError:
        errors = self._errors
        text = f"{self.address}: {str(error).rstrip('.')}"
        if seconds:
            return StoreError(f"{text}; asked again for {seconds:g} s (retry_seconds= in the address sets how long)")
        if isinstance(error, (errors.AuthenticationError, errors.AuthorizationError)) or "NOAUTH" in str(error):
            hint = "the password is a part of the address, redis://user:password@host, or in REDISCLI_AUTH"
            return StoreError(f"{text}: the server does not let this user in; {hint}")
        if isinstance(error, errors.OutOfMemoryError):
            return StoreError(f"{text}: nothing of this was written; maxmemory is how much the server may hold")
        if isinstance(error, errors.NoPermissionError):
            return StoreError(f"{text}: the user needs the keys {self.prefix.decode(errors='replace')}* and scripts")
        return StoreError(text)

    # ------------------------------------------------------------ what server it is

    def _check(self) -> None:
        """Refuse a server that cannot keep a store, and say what it does not promise."""
        info = self._client.info()
        version = _version(str(info.get("redis_version", "")))
        if version < _OLDEST:
            raise StoreError(f"{self.address}: a store needs Redis 6.2 or later, and this is {info['redis_version']}")
        if info.get("cluster_enabled"):
            raise StoreError(
                f"{self.address}: this server is a part of a cluster, and a store needs all of its keys on one server: "
                "give the address of a server that is no part of a cluster"
            )
        self._check_format()
        self._waits_for_disk = bool(info.get("aof_enabled")) and version >= _WAITAOF_SINCE
        self._warn_of_losses(info)

    def _check_format(self) -> None:
        key = self.key("format")
        try:
            self._client.execute_command("SET", key, _FORMAT, "NX")
            found = self._client.execute_command("GET", key)
        except self._errors.ResponseError as error:
            if "WRONGTYPE" in str(error):
                found = b"of another kind"
            else:
                raise
        if found != _FORMAT:
            shown = found.decode("utf-8", "replace")[:40] if isinstance(found, bytes) else found
            raise StoreFormatError(
                f"{self.address}: the store with the prefix {self.address.prefix!r} has format {shown!r}, and this "
                f"version of execution-dataflow reads {_FORMAT.decode()!r}: use the version that wrote it, or another "
                "prefix="
            )

    def _warn_of_losses(self, info: dict[str, Any]) -> None:
        policy = str(info.get("maxmemory_policy", "noeviction"))
        if policy.startswith("allkeys"):
            _log.warning(
                "%s may throw away what is stored when its memory is full (maxmemory-policy %s): noeviction keeps it",
                self.address,
                policy,
            )
        if not info.get("aof_enabled"):
            _log.warning(
                "%s writes no append-only file: when it ends, what was committed since its last snapshot is lost "
                "(appendonly yes and appendfsync always keep it)",
                self.address,
            )
        elif not self._waits_for_disk and self._fsync_policy() not in ("always", ""):
            _log.warning(
                "%s writes to disk later than it answers (appendfsync %s): when its machine fails, what was committed "
                "in the last second or two is lost (appendfsync always keeps it, and so does Redis 7.2 or later)",
                self.address,
                self._fsync_policy(),
            )

    def _fsync_policy(self) -> str:
        """``always``, ``everysec`` or ``no``; empty where clients may not read the settings."""
        try:
            answer = self._client.execute_command("CONFIG", "GET", "appendfsync")
        except self._errors.ResponseError:
            return ""
        values = list(answer.values()) if isinstance(answer, dict) else list(answer)[1:]
        value = values[0] if values else ""
        return value.decode() if isinstance(value, bytes) else str(value)


class _NotOnDisk(Exception):
    """The server has answered, and its disk has not."""


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split(".")[:2])

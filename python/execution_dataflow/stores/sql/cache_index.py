"""The index of results that are kept across runs."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, tuple_, update

from execution_dataflow.stores.journal import CachedResult
from execution_dataflow.stores.sql.checksums import cache_checksum
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.tables import CACHE

__all__ = ["find", "forget", "put", "results", "touch"]

_LOGGER = logging.getLogger("execution_dataflow.stores")
_PAGE = 1024
_COLUMNS = tuple(CACHE.columns.keys())


def find(database: Database, key: str) -> CachedResult | None:
    """Return a result that has not expired and is not damaged."""
    row = database.cached_row(key)
    if row is None:
        return None
    result = _result(database, dict(zip(_COLUMNS, row, strict=True)))
    if result is None or result.expires_at is None:
        return result
    return None if database.is_over(result.expires_at) else result


def put(connection: Connection, result: CachedResult) -> None:
    """Keep a result; one of the same key is replaced."""
    values = result._asdict()
    values["artifacts"] = "\n".join(result.artifacts)
    values["checksum"] = cache_checksum(result)
    if not connection.execute(update(CACHE).where(CACHE.c.key == result.key).values(**values)).rowcount:
        connection.execute(insert(CACHE).values(**values))


def touch(connection: Connection, keys: Collection[str], used_at: float) -> None:
    """Note when results were last used; a later use that was noted before stays."""
    if keys:
        later = update(CACHE).where(CACHE.c.key == bindparam("touched"), CACHE.c.used_at < bindparam("use"))
        # In one order, so that two that do so at once do not wait for each other.
        rows = [{"touched": key, "use": used_at} for key in sorted(keys)]
        connection.execute(later.values(used_at=bindparam("use")), rows)


def forget(connection: Connection, keys: Collection[str]) -> None:
    """Delete results."""
    if keys:
        connection.execute(
            delete(CACHE).where(CACHE.c.key == bindparam("gone")), [{"gone": key} for key in sorted(keys)]
        )


def results(database: Database) -> Iterator[CachedResult]:
    """Yield all results that are not damaged, the one that was used longest ago first."""
    after: tuple[float, str] | None = None
    while True:
        rows = database.read(partial(_page, after=after))
        for row in rows:
            result = _result(database, {str(name): value for name, value in row.items()})
            if result is not None:
                yield result
        if len(rows) < _PAGE:
            return
        after = rows[-1]["used_at"], rows[-1]["key"]


def _page(connection: Connection, after: tuple[float, str] | None) -> Sequence[RowMapping]:
    chosen = select(CACHE).order_by(CACHE.c.used_at, CACHE.c.key).limit(_PAGE)
    if after is not None:
        chosen = chosen.where(tuple_(CACHE.c.used_at, CACHE.c.key) > tuple_(*after))
    return connection.execute(chosen).mappings().all()


def _result(database: Database, row: Mapping[str, Any] | RowMapping) -> CachedResult | None:
    columns = dict(row)
    checksum = columns.pop("checksum")
    columns["artifacts"] = tuple(columns["artifacts"].split("\n")) if columns["artifacts"] else ()
    result = CachedResult(**columns)
    if cache_checksum(result) != checksum:
        _LOGGER.warning("%s: the cached result %s is damaged and left out", database.address, result.key)
        return None
    return result

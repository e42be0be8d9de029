"""``execution-dataflow cache``: the results that operations with ``cache=True`` have kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, TypeAlias

import typer

from execution_dataflow.caching.entries import CacheEntry
from execution_dataflow.caching.result_cache import ResultCache
from execution_dataflow.caching.user_directory import VARIABLE, address_of, file_of, user_cache_address
from execution_dataflow.commands.engine_choices import JsonOption
from execution_dataflow.commands.mistakes import Mistake, suggestion
from execution_dataflow.commands.streams import ResultStream, only_results_on_stdout
from execution_dataflow.errors import MissingExtraError
from execution_dataflow.quantities import bytes_text, counted, duration_text
from execution_dataflow.store_errors import StoreError

__all__ = ["cache"]

_SHOWN_KEY = 12

cache = typer.Typer(
    no_args_is_help=True, help="Look at the results that operations with cache=True have kept, and delete them."
)

CacheOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="ADDRESS",
        envvar=VARIABLE,
        help="Where results are kept: sqlite:///results.db, postgresql://..., or a directory. By default the cache of "
        "this user.",
        show_default=False,
    ),
]
OperationOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Only what this class or function has computed; with its module, or without.",
        show_default=False,
    ),
]


@cache.command("list")
def list_results(
    address: CacheOption = None,
    operation: OperationOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List results, the one that was used last first."""
    with _opened(address, as_json) as (opened, results):
        entries = opened.entries(operation)[::-1]
        _check_known(opened, operation, entries)
        if as_json:
            results.write(json.dumps([_facts(entry) for entry in entries[:limit]], indent=2))
            return
        if not entries:
            results.write(f"{opened.address} has no results")
            return
        results.write(_table(entries[:limit]))
        whole = bytes_text(sum(entry.size for entry in entries))
        rest = f"; --limit {len(entries)} shows all" if len(entries) > limit else ""
        results.write(f"\n{counted(len(entries), 'result')}, {whole}, in {opened.address}{rest}")


@cache.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of a result, or its beginning.")],
    address: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of a result. Its values are not read."""
    with _opened(address, as_json) as (opened, results):
        entry = _one(opened.entries(), key)
        if as_json:
            results.write(json.dumps(_facts(entry), indent=2))
            return
        now = time.time()
        expires = "never" if entry.expires_at is None else _moment_text(entry.expires_at)
        facts = {
            "key": entry.key,
            "operation": entry.operation,
            "size": bytes_text(entry.size),
            "computed": f"{_moment_text(entry.created_at)}, in {duration_text(entry.seconds)}",
            "last used": _moment_text(entry.used_at),
            "expires": f"{expires} (it has expired)" if entry.is_expired(now) else expires,
            "artifacts": ", ".join(entry.artifacts) or "none: it is all in the index",
        }
        results.write("\n".join(f"{name:<12}{text}" for name, text in facts.items()))


@cache.command()
def clear(
    address: CacheOption = None,
    operation: OperationOption = None,
    expired: Annotated[bool, typer.Option("--expired", help="Only what has expired.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete results: all of them, or those that every option means. Runs compute anew what they miss."""
    with _opened(address, as_json) as (opened, results):
        if operation is not None and not expired:
            _check_known(opened, operation, opened.entries(operation))
        gone = opened.clear(operation, expired=expired)
        size = sum(entry.size for entry in gone)
        if as_json:
            results.write(json.dumps({"deleted": len(gone), "bytes": size}))
        else:
            results.write(f"deleted {counted(len(gone), 'result')}, {bytes_text(size)}, from {opened.address}")


@contextmanager
def _opened(named: str | None, as_json: bool) -> Iterator[tuple[ResultCache, ResultStream]]:
    with only_results_on_stdout(as_json) as results:
        try:
            address = address_of(named) if named else user_cache_address()
            file = file_of(address)
            if file is not None and not file.exists():
                # To open it would create it.
                raise Mistake(f"there is no cache {file}: nothing was kept there yet")
            with ResultCache(address) as opened:
                yield opened, results
        except MissingExtraError:
            raise
        except (StoreError, OSError, ValueError) as error:
            raise Mistake(f"the cache{f' {named}' if named else ''}: {error}") from None


def _check_known(opened: ResultCache, operation: str | None, found: Sequence[CacheEntry]) -> None:
    if operation is None or found:
        return
    known = sorted({entry.operation for entry in opened.entries()})
    short = {name.rpartition(".")[2]: None for name in known}
    raise Mistake(
        f"{opened.address} has no results of {operation!r}{suggestion(operation, [*short, *known], 'operations')}"
    )


def _one(entries: Sequence[CacheEntry], key: str) -> CacheEntry:
    wanted = key.strip().lower()
    found = [entry for entry in entries if entry.key.startswith(wanted)] if wanted else []
    if len(found) == 1:
        return found[0]
    if not found:
        raise Mistake(f"there is no result whose key begins with {key!r}; `execution-dataflow cache list` shows all")
    keys = ", ".join(entry.key for entry in found[:5])
    raise Mistake(f"{len(found)} results have keys that begin with {key!r}: write more of it. They are {keys}")


def _facts(entry: CacheEntry) -> dict[str, Any]:
    return {**entry._asdict(), "artifacts": list(entry.artifacts), "is_expired": entry.is_expired(time.time())}


def _table(entries: Sequence[CacheEntry]) -> str:
    now = time.time()
    rows = [("key", "operation", "size", "took", "used", "")]
    rows += [
        (
            entry.key[:_SHOWN_KEY],
            entry.operation,
            bytes_text(entry.size),
            duration_text(entry.seconds),
            _moment_text(entry.used_at),
            "expired" if entry.is_expired(now) else "",
        )
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in (2, 3) else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _moment_text(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))

"""Where the cache of a user lies, for operations with ``cache=True`` and engines that name no cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["VARIABLE", "address_of", "file_of", "user_cache_address"]

VARIABLE = "EXECUTION_DATAFLOW_CACHE"
"""The environment variable that names another place: a directory, a file, or the address of a store."""

_FILE = "results.db"
_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def user_cache_address() -> str:
    r"""Return the address of the store of this user's cache.

    It lies where the system keeps what can be made anew: ``$XDG_CACHE_HOME/execution-dataflow`` or
    ``~/.cache/execution-dataflow``, on macOS ``~/Library/Caches/execution-dataflow``, on Windows
    ``%LOCALAPPDATA%\execution-dataflow\Cache``.
    """
    named = os.environ.get(VARIABLE, "").strip()
    return address_of(named) if named else _address_in(_directory())


def address_of(named: str) -> str:
    """Return the address of the store that a person means.

    Parameters
    ----------
    named : str
        An address, a file of SQLite, or a directory in which that is ``results.db``.

    Examples
    --------
    >>> address_of("postgresql://cache@db/results")
    'postgresql://cache@db/results'
    """
    if "://" in named:
        return named
    path = Path(named).expanduser().absolute()
    is_file = path.is_file() or (path.suffix in _SUFFIXES and not path.is_dir())
    return f"sqlite:///{path.as_posix()}" if is_file else _address_in(path)


def file_of(address: str) -> Path | None:
    """Return the file of a store that is one."""
    scheme, _, rest = address.partition(":///")
    path = rest.partition("?")[0]
    return Path(path) if scheme.partition("+")[0].lower() == "sqlite" and path not in ("", ":memory:") else None


def _address_in(directory: Path) -> str:
    return f"sqlite:///{(directory / _FILE).as_posix()}"


def _directory() -> Path:
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", "")
        return (Path(local) if local else home / "AppData" / "Local") / "execution-dataflow" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "execution-dataflow"
    given = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is invalid there, says the XDG Base Directory Specification, and to be ignored.
    return (Path(given) if given.startswith("/") else home / ".cache") / "execution-dataflow"

"""Where the cache of a user lies, for operations with ``cache=True`` and engines that name no cache."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["VARIABLE", "user_cache_address"]

VARIABLE = "EXECUTION_DATAFLOW_CACHE"
"""The environment variable that names another place: a directory, or the address of a store."""

_FILE = "results.db"


def user_cache_address() -> str:
    """Return the address of the store of this user's cache; its directory is created if it does not exist.

    It lies where the system keeps what can be made anew: ``$XDG_CACHE_HOME/execution-dataflow`` or
    ``~/.cache/execution-dataflow``, on macOS ``~/Library/Caches/execution-dataflow``, on Windows
    ``%LOCALAPPDATA%\\execution-dataflow\\Cache``.

    Raises
    ------
    OSError
        It cannot be created.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if "://" in named:
        return named
    directory = Path(named).expanduser().absolute() if named else _directory()
    # Nobody else is to write there: pickles are read from it.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
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

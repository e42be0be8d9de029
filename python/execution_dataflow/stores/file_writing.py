"""Writing files so that they are there after a loss of power."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from execution_dataflow.stores.artifacts import Bytes

__all__ = ["make_folders", "sync_folder", "write_new_file"]

# No system takes more than 2 GiB at once, and macOS refuses them.
_MOST_AT_ONCE = 256 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def write_new_file(path: Path, parts: Sequence[Bytes]) -> None:
    """Write a file that does not exist yet, and wait until it is on the disk.

    Raises
    ------
    OSError
        It could not be written whole; what there is of it stays.
    """
    descriptor = os.open(path, _FLAGS, 0o666)
    try:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[os.write(descriptor, view[:_MOST_AT_ONCE]) :]
        _sync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, durably. Nothing happens if it is there."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Windows does so by itself, as far as it does."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        # One that may be written to and not be read cannot be opened.
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        from fcntl import F_FULLFSYNC, fcntl

        try:
            # fsync leaves it in the cache of the disk there.
            fcntl(descriptor, F_FULLFSYNC)
            return
        except OSError:
            # A file system that has no such thing.
            pass
    os.fsync(descriptor)

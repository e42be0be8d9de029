"""Segments that are files without a name, in memory. Linux only.

Nobody has to clean up after them: the system takes their pages back with the last process that has them mapped or open,
however it ends. ``/dev/shm`` and its size play no part.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from typing import Any

from execution_dataflow._core import Mapping
from execution_dataflow.memory_errors import SharedMemoryFull
from execution_dataflow.shared_memory.room import available_memory, is_memory_backed

__all__ = ["AnonymousFiles"]

# What is left to the rest of the machine: the pages of programs have to be read from somewhere.
_RESERVE = 64 * 1024 * 1024
_NO_ROOM = {errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EFBIG}


class _Segment:
    __slots__ = ("mapped",)

    def __init__(self, descriptor: int, length: int) -> None:
        self.mapped = Mapping(descriptor, length)

    def discard(self) -> None:
        self.mapped.discard()


class AnonymousFiles:
    """Makes segments with ``memfd_create``; where memory is short, of files on disk that are unlinked at once.

    Parameters
    ----------
    available : callable
        Says how many bytes of memory can be taken.
    folder : str, optional
        Where files are made when memory is short; by default the folder for temporary files.
    """

    def __init__(self, available: Callable[[], int | None] = available_memory, folder: str | None = None) -> None:
        self._available = available
        self._folder = folder

    def create(self, segment: int, length: int) -> _Segment:
        """Make a segment of memory, or of disk when there is not enough of it."""
        available = self._available()
        if available is not None and length + _RESERVE > available:
            return _Segment(self._on_disk(length, available), length)
        descriptor = os.memfd_create(f"dataflow-{segment:x}", os.MFD_CLOEXEC)
        try:
            # All pages now: without them a write would end the process with SIGBUS when there are none left.
            os.posix_fallocate(descriptor, 0, length)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_ROOM:
                raise
            return _Segment(self._on_disk(length, available), length)
        return _Segment(descriptor, length)

    def _on_disk(self, length: int, available: int | None) -> int:
        folder = self._folder or tempfile.gettempdir()
        if is_memory_backed(os.path.realpath(folder)):
            raise SharedMemoryFull.for_request(length, available, f"{folder} lies in memory too")
        try:
            descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            # Not every file system makes files without a name.
            descriptor, path = tempfile.mkstemp(prefix="dataflow-", dir=folder)
            os.unlink(path)
        try:
            os.posix_fallocate(descriptor, 0, length)
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_ROOM:
                raise
            raise SharedMemoryFull.for_request(length, available, f"{folder} has no room for it either") from error
        return descriptor

    def introduce(self, segment: int, memory: Any, keep: bool) -> int:
        """Return the descriptor of the file."""
        mapping = memory.mapped
        return int(mapping.fileno() if keep else mapping.detach_descriptor())

    def open(self, segment: int, length: int, descriptor: int, keep: bool) -> _Segment:
        """Map a file by its descriptor."""
        opened = _Segment(descriptor, length)
        if not keep:
            os.close(opened.mapped.detach_descriptor())
        return opened

    def sweep(self, maker: int, known: Any) -> None:
        """There is nothing to remove."""

    def for_worker(self) -> tuple[str, ...]:
        """Return nothing: descriptors come with the messages."""
        return ()

    def close(self) -> None:
        """There is nothing to remove."""

"""Files as memory: read if they are small, mapped if they are large."""

from __future__ import annotations

import mmap
import os
import sys
import threading
import weakref
from pathlib import Path

__all__ = ["map_or_read"]

# Reading takes less time than mapping and the page faults that follow up to about here, and a mapping is no file less
# that may be open.
_SMALLEST_MAPPED = 256 << 10
# Before Python 3.13, every mapping keeps a descriptor, of which a process often has 1024. Windows has enough of them.
_KEEPS_DESCRIPTORS = sys.platform != "win32" and sys.version_info < (3, 13)
_MOST_MAPPED = 200 if _KEEPS_DESCRIPTORS else sys.maxsize
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)

_lock = threading.Lock()
_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def map_or_read(path: Path) -> memoryview:
    """Return the content of a file, which cannot be written to.

    Raises
    ------
    OSError
        It cannot be read.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        size = os.fstat(descriptor).st_size
        if size >= _SMALLEST_MAPPED:
            mapping = _map(descriptor, size)
            if mapping is not None:
                return memoryview(mapping).toreadonly()
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return memoryview(file.readall())
    finally:
        os.close(descriptor)


def _map(descriptor: int, size: int) -> mmap.mmap | None:
    with _lock:
        if len(_mapped) >= _MOST_MAPPED:
            return None
        # Private: whoever writes to it by another way than the view that is returned gets pages of his own.
        for access in (mmap.ACCESS_COPY, mmap.ACCESS_READ):
            try:
                if sys.platform != "win32" and sys.version_info >= (3, 13):
                    mapping = mmap.mmap(descriptor, size, access=access, trackfd=False)
                else:
                    mapping = mmap.mmap(descriptor, size, access=access)
            except (OSError, ValueError):
                # No memory is promised for as many private pages; a file system that cannot map; a file that shrank.
                continue
            _mapped.add(mapping)
            return mapping
    return None

"""Segments that are files with names, for systems without anonymous ones: macOS, Windows, BSD.

The files of a process lie in a folder of its own, beside a file that it keeps locked for as long as it lives: the
system lets go of a lock however a process ends, and unlike its number, which others get later, a lock cannot be
mistaken. Whoever starts first after a process that was killed removes the folder.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from execution_dataflow.memory_errors import SharedMemoryFull

__all__ = ["NamedFiles", "reclaim"]

_LOCK = ".lock"
_ZEROS = bytes(1 << 20)
_NO_ROOM = {errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EFBIG}
# In the number of a segment, the bits below that of the process that made it.
_COUNTER_BITS = 28


def default_folder() -> Path:
    """Return where the folders of processes lie: one for each user."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"execution-dataflow-{user}"


def _lock(file: IO[bytes]) -> bool:
    """Lock a file until it is closed; false when another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def reclaim(root: Path) -> list[str]:
    """Remove the folders of processes that are gone.

    Parameters
    ----------
    root : pathlib.Path
        Where the folders of processes lie.

    Returns
    -------
    list of str
        The names of what was removed.
    """
    removed = []
    for path in sorted(root.glob(f"*{_LOCK}")):
        try:
            file = path.open("r+b")
        except OSError:
            continue
        with file:
            if not _lock(file):
                continue
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            removed.append(path.stem)
            if sys.platform != "win32":
                path.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    return removed


class _Segment:
    """A mapped file."""

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        with path.open("r+b") as file:
            self.mapped = mmap.mmap(file.fileno(), length)

    def discard(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            # Windows refuses while anybody has it mapped; then it goes with the folder.
            pass


class NamedFiles:
    """Makes segments as files in a folder of this process.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of the main process.
    lock : file, optional
        In the main process, the locked file beside the folder.
    """

    def __init__(self, folder: Path, lock: IO[bytes] | None = None) -> None:
        self.folder = folder
        self._lock = lock
        self._owner = os.getpid()

    @classmethod
    def for_this_process(cls, root: Path | None = None) -> NamedFiles:
        """Make a folder for this process, and remove those of processes that are gone.

        Parameters
        ----------
        root : pathlib.Path, optional
            Where the folders of processes lie; by default in the folder for temporary files.
        """
        root = root or default_folder()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        reclaim(root)
        while True:
            name = f"{os.getpid()}-{time.time_ns():x}"
            path = root / (name + _LOCK)
            file = path.open("x+b")
            file.write(b"\0")
            file.flush()
            # Another process may have taken it for a dead one's between the two lines.
            if _lock(file) and path.exists():
                break
            file.close()
        folder = root / name
        folder.mkdir(mode=0o700)
        return cls(folder, file)

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:x}"

    def create(self, segment: int, length: int) -> _Segment:
        """Make a file with all its blocks."""
        path = self._path(segment)
        try:
            with path.open("xb") as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, length)
                else:
                    # Written, because a file that only got a length has no blocks: a write to it through a mapping ends
                    # the process when the disk is full.
                    for at in range(0, length, len(_ZEROS)):
                        file.write(_ZEROS[: length - at])
        except OSError as error:
            path.unlink(missing_ok=True)
            if error.errno not in _NO_ROOM:
                raise
            free = shutil.disk_usage(self.folder).free
            raise SharedMemoryFull.for_request(length, free, f"there is no more in {self.folder}") from error
        return _Segment(path, length)

    def introduce(self, segment: int, memory: Any, keep: bool) -> int:
        """Return -1: the number of the segment is its name."""
        return -1

    def open(self, segment: int, length: int, descriptor: int, keep: bool) -> _Segment:
        """Map the file of a segment."""
        return _Segment(self._path(segment), length)

    def sweep(self, maker: int, known: Any) -> None:
        """Remove the files of a worker that nobody was told of."""
        for path in self.folder.iterdir():
            segment = int(path.name, 16)
            if segment >> _COUNTER_BITS == maker and segment not in known:
                path.unlink(missing_ok=True)

    def for_worker(self) -> tuple[str, ...]:
        """Return the folder."""
        return (str(self.folder),)

    def close(self) -> None:
        """Remove the folder, in the process that made it."""
        if self._lock is None or self._owner != os.getpid():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        lock = self.folder.with_name(self.folder.name + _LOCK)
        if sys.platform != "win32":
            lock.unlink(missing_ok=True)
        self._lock.close()
        lock.unlink(missing_ok=True)

"""Artifacts as files in a directory."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError
from execution_dataflow.stores.artifacts import ArtifactInfo, Bytes
from execution_dataflow.stores.file_names import TEMPORARY, file_of, folder_of, is_shard, name_of, temporary_beside
from execution_dataflow.stores.file_reading import map_or_read
from execution_dataflow.stores.file_writing import make_folders, sync_folder, write_new_file

__all__ = ["DirectoryArtifacts", "open_artifacts"]

# A file that nobody has written to for so long belongs to a process that is gone: those that live write on, or rename.
_ABANDONED_SECONDS = 3600.0
_ATTEMPTS = 3
_EXPLAINED = {
    errno.ENOSPC: "the disk is full: free some room, prune old runs, or keep artifacts elsewhere",
    errno.EDQUOT: "the quota of the disk is used up: free some room, prune old runs, or keep artifacts elsewhere",
    errno.EFBIG: "the file is larger than the system lets it be (ulimit -f, or the file system)",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission for it",
    errno.EPERM: "there is no permission for it",
    errno.ENAMETOOLONG: "the name is longer than the file system takes",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EMFILE: "this process has too many files open (ulimit -n)",
    errno.ESTALE: "the network file system has lost it",
}


def open_artifacts(address: str) -> DirectoryArtifacts:
    """Open a directory of artifacts, and create it if it does not exist.

    Parameters
    ----------
    address : str
        Its address: ``file:///srv/artifacts``.

    Raises
    ------
    ValueError
        It is not the address of a directory on this machine.
    StoreError
        It cannot be opened.
    """
    parts = urlsplit(address)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path or parts.query:
        raise ValueError(f"{address!r} is no address of a directory on this machine, such as file:///srv/artifacts")
    return DirectoryArtifacts(url2pathname(parts.path))


class DirectoryArtifacts:
    """A store of artifacts in a directory: a file for each.

    A file appears under its name when all of it has reached the disk, so that neither a reader nor a loss of power
    finds a part of one. What a killed process has left over is removed when the artifacts are listed an hour later.

    Several processes may use a directory at the same time, on a network file system too, if that renames atomically.

    Parameters
    ----------
    path : str or Path
        The directory; it is created if it does not exist.

    Raises
    ------
    StoreError
        It cannot be created.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, DirectoryArtifacts(folder) as store:
    ...     store.write("runs/1/a.npy", [b"some ", b"bytes"])
    ...     bytes(store.read("runs/1/a.npy"))
    b'some bytes'
    """

    is_local = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = Path(path).absolute()
        try:
            make_folders(self._root)
        except OSError as error:
            raise self._failed("the directory cannot be made", error) from error

    @property
    def address(self) -> str:
        """What opens it again: ``file:///...``."""
        return self._root.as_uri()

    @property
    def path(self) -> Path:
        """The directory."""
        return self._root

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        """Write an artifact, durably.

        Parameters
        ----------
        name : str
            Its name; one that exists is replaced, at once.
        parts : sequence of bytes
            What it consists of, one after the other.

        Raises
        ------
        StoreError
            It was not written; nothing is to be seen of it under this name.
        """
        file = self._file(name)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._write(file, parts)
                return
            except FileNotFoundError as error:
                # Somebody has removed the folder because it was empty, or the file because the clock has jumped.
                if attempt == _ATTEMPTS:
                    raise self._failed(f"artifact {name} was not written", error) from error
            except OSError as error:
                raise self._failed(f"artifact {name} was not written", error) from error

    def _write(self, file: Path, parts: Sequence[Bytes]) -> None:
        make_folders(file.parent)
        temporary = temporary_beside(file)
        try:
            write_new_file(temporary, parts)
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(file.parent)

    def read(self, name: str) -> memoryview:
        """Return what was written, as read-only memory: mapped, if it is large.

        Parameters
        ----------
        name : str
            The artifact.

        Raises
        ------
        ArtifactNotFoundError
            There is none of that name.
        StoreError
            It cannot be read.
        """
        try:
            return map_or_read(self._file(name))
        except FileNotFoundError:
            raise ArtifactNotFoundError(name) from None
        except OSError as error:
            raise self._failed(f"artifact {name} cannot be read", error) from error

    def delete(self, name: str) -> None:
        """Delete an artifact; nothing happens if there is none of that name."""
        file = self._file(name)
        try:
            file.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise self._failed(f"artifact {name} cannot be deleted", error) from error
        self._remove_empty(file.parent)

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        """Yield what is there, in no order, and remove what killed processes have left over.

        Parameters
        ----------
        prefix : str
            What the names begin with.
        """
        folder = folder_of(prefix)
        if folder is None:
            return
        abandoned = time.time() - _ABANDONED_SECONDS
        for file, entry in self._files(self._root / folder):
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._failed("the artifacts cannot be listed", error) from error
            if TEMPORARY in entry.name:
                if found.st_mtime < abandoned:
                    self._discard(file)
                continue
            name = name_of(file.relative_to(self._root))
            if name is not None and name.startswith(prefix):
                yield ArtifactInfo(name, found.st_size, found.st_mtime)

    def _files(self, folder: Path) -> Iterator[tuple[Path, os.DirEntry[str]]]:
        waiting = [folder]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    found = list(entries)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._failed("the artifacts cannot be listed", error) from error
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(folder / entry.name)
                elif is_shard(folder.name):
                    yield folder / entry.name, entry

    def close(self) -> None:
        """Do nothing: no file is open. What was read stays readable."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"DirectoryArtifacts({str(self._root)!r})"

    def _file(self, name: str) -> Path:
        try:
            return self._root / file_of(name)
        except ValueError as error:
            raise StoreError(str(error)) from None

    def _discard(self, temporary: Path) -> None:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            # Whoever may delete here will.
            pass

    def _remove_empty(self, folder: Path) -> None:
        """Remove the folders that have become empty, up to the root."""
        while folder != self._root:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _failed(self, what: str, error: OSError) -> StoreError:
        reason = _EXPLAINED.get(error.errno or 0) or error.strerror or str(error)
        return StoreError(f"{what} in {self._root}: {reason}")

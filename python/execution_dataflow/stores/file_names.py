"""Names of artifacts as paths of files that every file system takes.

Files lie in folders by the first character of the last part of their names, since one folder with a million files is
slow. Those folders begin with ``+``, which no part of a name does, so no file can be where another name has a
folder. Capital letters are marked, since some file systems do not tell them from small ones, and so is what Windows
reserves.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path, PurePath

from execution_dataflow.stores.artifact_names import check_artifact_name, is_artifact_name

__all__ = ["TEMPORARY", "file_of", "folder_of", "is_shard", "name_of", "temporary_beside"]

TEMPORARY = "~"
"""A sign in the names of files that are being written, and of no other."""

_SHARD = "+"
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)


def _part_to_file(part: str) -> str:
    marked = re.sub("[A-Z]", lambda letter: f"={letter[0].lower()}", part)
    if _RESERVED.fullmatch(part):
        marked = f"=={marked}"
    # Windows drops dots at the end.
    return f"{marked}=" if marked.endswith(".") else marked


def _part_of_file(file: str) -> str:
    return re.sub("=([a-z])", lambda letter: letter[1].upper(), file.removeprefix("==").removesuffix("="))


def file_of(name: str) -> PurePath:
    """Return where an artifact lies, relative to the root.

    Raises
    ------
    ValueError
        It is no name of an artifact.

    Examples
    --------
    >>> file_of("runs/Tue/a81c.npy").as_posix()
    'runs/=tue/+a/a81c.npy'
    """
    check_artifact_name(name)
    *folders, last = map(_part_to_file, name.split("/"))
    return PurePath(*folders, _SHARD + last[0].rstrip("."), last)


def name_of(file: PurePath) -> str | None:
    """Return which artifact a file is, given its path relative to the root; ``None`` if it is none.

    Examples
    --------
    >>> name_of(PurePath("runs/=tue/+a/a81c.npy"))
    'runs/Tue/a81c.npy'
    """
    *folders, _, last = file.parts
    name = "/".join(map(_part_of_file, (*folders, last)))
    try:
        return name if file_of(name) == file else None
    except ValueError:
        return None


def folder_of(prefix: str) -> PurePath | None:
    """Return the folder that all names with a prefix lie in, relative to the root; ``None`` if there are no such names.

    Examples
    --------
    >>> folder_of("runs/Tue/a8").as_posix()
    'runs/=tue'
    >>> folder_of("../a8") is None
    True
    """
    folders = prefix.split("/")[:-1]
    if folders and not is_artifact_name("/".join(folders)):
        return None
    return PurePath(*map(_part_to_file, folders))


def is_shard(folder: str) -> bool:
    """Whether a folder is one that has files."""
    return folder.startswith(_SHARD)


def temporary_beside(file: Path) -> Path:
    """Return a file in the same folder, of a name that nobody else has."""
    return file.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")

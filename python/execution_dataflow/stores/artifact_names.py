"""Which names an artifact may have."""

from __future__ import annotations

import re

__all__ = ["check_artifact_name", "is_artifact_name"]

_NAME = re.compile(r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*", re.ASCII)


def check_artifact_name(name: str) -> None:
    """Refuse a name that is not one of an artifact: it could lead out of the store.

    Parameters
    ----------
    name : str
        ASCII letters, digits and ``-_./``; parts between slashes are neither empty nor ``.`` or ``..``.

    Raises
    ------
    ValueError
        It is something else.

    Examples
    --------
    >>> check_artifact_name("run-1/clean.parse.npy")
    >>> check_artifact_name("../secret")
    Traceback (most recent call last):
    ValueError: '../secret' is no name of an artifact: it consists of ASCII letters, digits and -_./, and no part
    between slashes is empty, . or ..
    """
    if not is_artifact_name(name):
        raise ValueError(
            f"{name!r} is no name of an artifact: it consists of ASCII letters, digits and -_./, and no part between "
            "slashes is empty, . or .."
        )


def is_artifact_name(name: str) -> bool:
    """Return whether an artifact may have a name."""
    return _NAME.fullmatch(name) is not None

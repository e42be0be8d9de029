"""Open files as types: the classes of `typing` for them have no instances, so others stand for them here."""

from __future__ import annotations

import io
import typing
from abc import ABCMeta
from typing import Any, get_args, get_origin

__all__ = ["FileKind", "file_kind"]

# What a class of files has that does not derive from those of `io`, such as a client's file on a server.
_METHODS = ({"read", "readline"}, {"write", "flush"})
# Files by way of what they hold, whatever that holds: their classes have no methods of their own.
_WRAPPERS = {("tempfile", "_TemporaryFileWrapper"), ("tempfile", "SpooledTemporaryFile")}


class FileKind(ABCMeta):
    """The class of `IO`, `TextIO` and `BinaryIO`: a class is a subclass of one if its objects may be such files."""

    others: tuple[type, ...] = ()

    def __subclasscheck__(cls, subclass: type) -> bool:
        """Return whether the objects of a class may be such files; of those that wrap a file, nobody knows which."""
        if isinstance(subclass, FileKind):
            return cls in subclass.__mro__
        if issubclass(subclass, cls.others):
            return False
        if issubclass(subclass, io.IOBase | typing.IO):
            return True
        if any((kind.__module__, kind.__name__) in _WRAPPERS for kind in subclass.__mro__):
            return True
        return any(all(hasattr(subclass, name) for name in names) for names in _METHODS)

    def __instancecheck__(cls, instance: object) -> bool:
        """Return whether an object may be such a file."""
        return cls.__subclasscheck__(type(instance))


class IO(typing.IO[Any], metaclass=FileKind):
    """Files of text or bytes."""


class TextIO(IO):
    """Files of text."""

    others = (io.RawIOBase, io.BufferedIOBase, typing.BinaryIO)


class BinaryIO(IO):
    """Files of bytes."""

    others = (io.TextIOBase, typing.TextIO)


_KINDS: dict[object, type] = {typing.IO: IO, typing.TextIO: TextIO, typing.BinaryIO: BinaryIO}
_BY_CONTENT: dict[object, type] = {str: TextIO, bytes: BinaryIO}


def file_kind(hint: object) -> type | None:
    """Return the class that stands for a file of `typing`, or ``None`` for anything else.

    Parameters
    ----------
    hint : type or type hint
        Such as ``TextIO`` or ``IO[bytes]``.

    Returns
    -------
    type or None
        A class that open files are instances of.

    Examples
    --------
    >>> isinstance(io.StringIO(), typing.TextIO), isinstance(io.StringIO(), file_kind(typing.TextIO))
    (False, True)
    >>> isinstance(io.BytesIO(), file_kind(typing.IO[str]))
    False
    """
    if get_origin(hint) is typing.IO:
        return _BY_CONTENT.get(get_args(hint)[0], IO)
    return _KINDS.get(hint) if isinstance(hint, type) else None

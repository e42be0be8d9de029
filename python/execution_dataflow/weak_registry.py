"""A set of objects that does not keep them alive."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Generic, TypeVar
from weakref import ref

__all__ = ["WeakRegistry"]

T = TypeVar("T")


class WeakRegistry(Generic[T]):
    """Objects in the order in which they were added, as long as somebody else keeps them.

    What happens when one goes is native all the way. The callback of a ``weakref.WeakSet`` is Python code, in which a
    Ctrl-C may arrive; nobody can catch it there, so it would be lost.

    Examples
    --------
    >>> class Thing: ...
    >>> things, thing = WeakRegistry(), Thing()
    >>> things.add(thing)
    >>> len(list(things))
    1
    >>> del thing
    >>> list(things)
    []
    """

    def __init__(self) -> None:
        self._references: dict[int, ref[T]] = {}

    def add(self, thing: T) -> None:
        """Add an object; a second time changes nothing."""
        identity = id(thing)
        # dict.pop(identity, reference): the reference that the callback gets becomes the default.
        self._references[identity] = ref(thing, partial(self._references.pop, identity))

    def __iter__(self) -> Iterator[T]:
        for reference in list(self._references.values()):
            thing = reference()
            if thing is not None:
                yield thing

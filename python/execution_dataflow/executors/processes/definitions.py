"""Functions and classes that a worker process cannot import: each is sent once, and named by a number from then on.

What a module has that both processes can import passes by its name, as pickle does it. Lambdas, closures and what
``__main__`` defines is pickled by value with cloudpickle. That takes long, and a class that comes back must be the
class that was sent: so values refer to such a definition by its key, and both sides keep what the key stands for.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import count
from typing import Any

import cloudpickle

from execution_dataflow.functions import OperationFunction

__all__ = [
    "DefinitionPickler",
    "DefinitionTable",
    "forget_definitions",
    "forget_keys",
    "has_name",
    "is_local",
    "recall",
    "receive_definition",
    "received_key",
]

_PROTOCOL = 5


class _Pending:
    """A definition that was received and not needed yet: loading it may fail, which is for its user to see."""

    __slots__ = ("stream",)

    def __init__(self, stream: bytes) -> None:
        self.stream = stream


# What keys stand for in this process: definitions that it has sent, and those that it was sent.
_known: dict[str, Any] = {}
# The keys of what this process was sent, by identity; the objects are in `_known`.
_key_of: dict[int, str] = {}
_numbers = count()
# Modules that the user has not asked for, and that are sent by value all the same.
_sent_by_us: set[str] = set()


def recall(key: str) -> Any:
    """Return what a key stands for; pickled values call this."""
    found = _known[key]
    if type(found) is _Pending:
        import pickle

        found = pickle.loads(found.stream)
        _known[key] = found
        _key_of[id(found)] = key
    return found


def receive_definition(key: str, stream: bytes) -> None:
    """Take a definition that was sent to this process."""
    _known[key] = _Pending(stream)


def forget_definitions() -> None:
    """Let go of everything that was sent to this process."""
    for key in _key_of.values():
        _known.pop(key, None)
    _key_of.clear()
    for key in [key for key, found in _known.items() if type(found) is _Pending]:
        del _known[key]


def forget_keys(keys: Iterable[str]) -> None:
    """Let go of definitions that this process has sent."""
    for key in keys:
        _known.pop(key, None)


def _new_key() -> str:
    # Of this process, and so no key that another one made, which sent it here.
    return f"{os.getpid()}.{next(_numbers)}"


def is_local(thing: Any) -> bool:
    """Whether a function or a class passes by value: another process cannot import it."""
    module = getattr(thing, "__module__", None)
    if module == "__main__" or not isinstance(module, str) or "<" in getattr(thing, "__qualname__", "<"):
        return True
    return module not in sys.modules or _is_main(module)


def _is_main(module: str) -> bool:
    """Whether a module is a program under another name: of ``multiprocessing``, or ``<run_path>`` of ``runpy``."""
    return module == "__mp_main__" or "<" in module


def has_name(thing: Any) -> bool:
    """Whether a function or a class is found in its module, and is not of one that the user has sent by value."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    if getattr(module, thing.__qualname__, None) is not thing:
        return False
    asked: set[str] = cloudpickle.list_registry_pickle_by_value()
    return asked <= _sent_by_us


def _have_sent_by_value(thing: Any) -> None:
    """Tell cloudpickle of a program under another name, which it takes for a module that can be imported."""
    name = getattr(thing, "__module__", None)
    if isinstance(name, str) and _is_main(name) and name in sys.modules and name not in _sent_by_us:
        cloudpickle.register_pickle_by_value(sys.modules[name])
        _sent_by_us.add(name)


def _is_sent_by_value(thing: Any) -> bool:
    """Whether the user has its module sent by value."""
    return getattr(thing, "__module__", None) in cloudpickle.list_registry_pickle_by_value()


class DefinitionPickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """A pickler that takes functions and classes by value where they have to, each anew."""

    def __init__(self, file: io.BytesIO, buffer_callback: Callable[[Any], object] | None = None) -> None:
        super().__init__(file, _PROTOCOL, buffer_callback)

    def reducer_override(self, obj: Any) -> Any:
        """Return what ``__reduce__`` would, for objects that pass in another way than pickle does it."""
        if type(obj) is OperationFunction and (is_local(obj) or _is_sent_by_value(obj)):
            # It would pass by its name.
            return OperationFunction, obj.parts
        return super().reducer_override(obj)


class DefinitionTable:
    """The definitions that one run sends.

    Parameters
    ----------
    keys : dict of bytes to str
        The keys of the definitions of all runs, by a digest of their pickle: one that is the same in the next run need
        not be sent again.
    streams : dict of str to bytes
        The pickles of these, by key.
    """

    def __init__(self, keys: dict[bytes, str], streams: dict[str, bytes]) -> None:
        self._keys = keys
        self._streams = streams
        self._own: dict[int, str] = {}
        self._things: list[Any] = []

    def key_for(self, thing: Any) -> str:
        """Return the key of a function or class, which is pickled when it is first asked for."""
        key = self._own.get(id(thing))
        if key is None:
            _have_sent_by_value(thing)
            file = io.BytesIO()
            DefinitionPickler(file).dump(thing)
            stream = file.getvalue()
            digest = blake2b(stream, digest_size=16).digest()
            key = self._keys.get(digest)
            if key is None:
                key = self._keys[digest] = _new_key()
            # What comes back under this key is this very object.
            _known[key] = thing
            self._streams[key] = stream
            self._things.append(thing)
            self._own[id(thing)] = key
        return key


def received_key(thing: Any) -> str | None:
    """Return the key under which this process was sent a function or class, if it was."""
    key = _key_of.get(id(thing))
    return key if key is not None and _known.get(key) is thing else None

"""Everything else: pickles, with the buffers of what is large beside them.

What pickle can name it names; what only cloudpickle can write, such as a lambda or a class in a function, is written
by value. A buffer comes back in the memory that was read. One that could be written to is mapped for writing where the
store maps files so that what is written stays in this process, and is copied otherwise.
"""

from __future__ import annotations

import io
import mmap
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any

from execution_dataflow.storage_formats.payloads import Payload
from execution_dataflow.store_errors import UnstorableValueError
from execution_dataflow.stores.artifacts import Bytes

__all__ = ["pickle_payload", "read_pickle"]

_PROTOCOL = 5
_ALIGNMENT = 64
# Smaller ones are written within the pickle: what is said of one beside it takes 20 bytes, and its alignment up to 63.
_SMALLEST_BUFFER = 1024


class _Buffers:
    """Collects what is to be written beside a pickle."""

    def __init__(self) -> None:
        self.views: list[memoryview] = []

    def take(self, buffer: pickle.PickleBuffer) -> bool:
        """Keep a buffer, or return that it belongs into the pickle."""
        try:
            view = buffer.raw()
        except BufferError:
            return True
        if len(view) < _SMALLEST_BUFFER:
            return True
        self.views.append(view)
        return False


@cache
def _pickler_by_value() -> Any:
    import cloudpickle

    class PicklerByValue(cloudpickle.Pickler):  # type: ignore[misc]
        """Cloudpickle, which makes text in memory of an open file; that would be another value."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, io.TextIOWrapper):
                raise TypeError("cannot pickle '_io.TextIOWrapper' object")
            return super().reducer_override(obj)

    return PicklerByValue


def _dumps_by_value(value: object, buffer_callback: Callable[[Any], object]) -> bytes:
    file = io.BytesIO()
    _pickler_by_value()(file, protocol=_PROTOCOL, buffer_callback=buffer_callback).dump(value)
    return file.getvalue()


def pickle_payload(name: str, value: object) -> Payload:
    """Return a value as a pickle.

    Parameters
    ----------
    name : str
        Whose value it is, for the message of an error.
    value : object
        The value.

    Raises
    ------
    UnstorableValueError
        It cannot be pickled.
    """
    buffers = _Buffers()
    try:
        stream = pickle.dumps(value, _PROTOCOL, buffer_callback=buffers.take)
    except Exception:
        buffers = _Buffers()
        try:
            stream = _dumps_by_value(value, buffers.take)
        except Exception as error:
            raise UnstorableValueError(name, _reason(value, error)) from error
    if not buffers.views:
        return Payload("pickle", (stream,))
    parts: list[Bytes] = [stream, bytes(-len(stream) % _ALIGNMENT)]
    for view in buffers.views:
        parts += [view, bytes(-len(view) % _ALIGNMENT)]
    sizes = [[len(view), 0 if view.readonly else 1] for view in buffers.views]
    return Payload("pickle", parts, {"stream": len(stream), "buffers": sizes}, is_mapped=True)


def _reason(value: object, error: Exception) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    said = str(error) or type(error).__name__
    return f"it is of type {name}, and pickling it fails: {said}"


def read_pickle(data: memoryview, details: Any) -> Any:
    """Return the value of a pickle: this runs the code that the pickle names.

    Parameters
    ----------
    data : memoryview
        What `pickle_payload` returned.
    details : object
        Its details.

    Raises
    ------
    Exception
        Whatever unpickling raises.
    """
    if details is None:
        return pickle.loads(data)
    own = _writable(data)
    buffers: list[Any] = []
    offset = details["stream"]
    for size, is_writable in details["buffers"]:
        offset += -offset % _ALIGNMENT
        view = data[offset : offset + size]
        if len(view) != size:
            raise ValueError("a buffer lies beyond its end")
        if is_writable:
            buffers.append(bytearray(view) if own is None else own[offset : offset + size])
        else:
            buffers.append(view)
        offset += size
    return pickle.loads(data[: details["stream"]], buffers=buffers)


def _writable(data: memoryview) -> memoryview | None:
    """The same memory for writing, if it is a private mapping of a file: pages that are written to become copies."""
    owner = data.obj
    if isinstance(owner, mmap.mmap) and len(owner) == len(data):
        view = memoryview(owner)
        return None if view.readonly else view
    return None

"""Which format a value is written in, and what reads each format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from execution_dataflow.storage_formats.payloads import Payload
from execution_dataflow.storage_formats.plain import NotPlainError, exact_text, read_exact, read_text, text_of

__all__ = ["LONG_LIST", "PICKLE", "payload_of", "reader_of", "suffix_of"]

PICKLE = "pickle"

LONG_LIST = 1000
"""From this length on, lists of nothing but floats, or of nothing but integers, are arrays: a tenth of the time."""

_HOME = "execution_dataflow.storage_formats"
# Module and function; the modules import libraries.
_READERS = {
    "npy": (f"{_HOME}.arrays", "read_array"),
    "pickle": (f"{_HOME}.pickles", "read_pickle"),
}
_SUFFIXES = {"json": ".json", "exact": ".json", "text": ".txt", "bytes": ".bin", "npy": ".npy", "pickle": ".pickle"}


def _read_bytes(data: memoryview, _: object) -> bytes:
    return bytes(data)


def _decoded(data: memoryview) -> str:
    return str(data, "utf-8", "surrogatepass")


_loaded: dict[str, Callable[[memoryview, Any], Any]] = {
    "bytes": _read_bytes,
    "text": lambda data, _: _decoded(data),
    "json": lambda data, _: read_text(_decoded(data)),
    "exact": lambda data, _: read_exact(_decoded(data)),
}


def reader_of(format: str) -> Callable[[memoryview, Any], Any]:
    """Return what reads a format, given the bytes and the details.

    Raises
    ------
    ValueError
        There is no such format.
    """
    reader = _loaded.get(format)
    if reader is None:
        if format not in _READERS:
            raise ValueError(f"there is no format {format!r}")
        module, function = _READERS[format]
        reader = _loaded[format] = getattr(import_module(module), function)
    return reader


def suffix_of(format: str, is_compressed: bool) -> str:
    """Return how the names of artifacts of a format end."""
    return _SUFFIXES[format] + (".zst" if is_compressed else "")


def _text_payload(value: Any) -> Payload | None:
    text = text_of(value)
    if text is not None:
        return Payload("json", text=text)
    try:
        return Payload("exact", text=exact_text(value))
    except NotPlainError:
        return None


def payload_of(name: str, value: Any) -> Payload:
    """Return a value in the first format that can hold it exactly.

    Parameters
    ----------
    name : str
        Whose value it is, for the message of an error.
    value : object
        The value.

    Raises
    ------
    UnstorableValueError
        There is none.
    """
    kind = type(value)
    payload: Payload | None = None
    if kind is dict:
        payload = _text_payload(value)
    elif kind is bytes:
        return Payload("bytes", (value,))
    elif kind is str:
        return Payload("text", text=value)
    elif kind is list and len(value) >= LONG_LIST:
        from execution_dataflow.storage_formats import arrays

        payload = arrays.list_payload(value) or _text_payload(value)
    elif (numpy := sys.modules.get("numpy")) is not None and issubclass(kind, numpy.ndarray | numpy.generic):
        from execution_dataflow.storage_formats import arrays

        if kind is numpy.ndarray:
            payload = arrays.array_payload(value)
        elif issubclass(kind, numpy.generic):
            payload = arrays.scalar_payload(value)
    else:
        payload = _text_payload(value)
    if payload is None:
        from execution_dataflow.storage_formats.pickles import pickle_payload

        payload = pickle_payload(name, value)
    return payload

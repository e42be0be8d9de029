"""Which format a value is written in, and what reads each format."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from execution_dataflow.storage_formats.payloads import Payload
from execution_dataflow.storage_formats.plain import exact_text, read_exact, read_text, text_of
from execution_dataflow.storage_formats.plain_data import NotPlainError

__all__ = ["LONG_LIST", "PICKLE", "payload_of", "reader_of", "suffix_of"]

PICKLE = "pickle"

LONG_LIST = 1000
"""From this length on, lists of nothing but floats, or of nothing but integers, are arrays: a tenth of the time."""

_HOME = "execution_dataflow.storage_formats"
# Module and function; the modules import libraries.
_READERS = {
    "npy": (f"{_HOME}.arrays", "read_array"),
    "npstr": (f"{_HOME}.arrays", "read_text_scalar"),
    "npbytes": (f"{_HOME}.arrays", "read_bytes_scalar"),
    "arrow": (f"{_HOME}.arrow_tables", "read_arrow"),
    "pandas": (f"{_HOME}.pandas_frames", "read_pandas"),
    "polars": (f"{_HOME}.polars_frames", "read_polars"),
    "pickle": (f"{_HOME}.pickles", "read_pickle"),
}
# By the first part of the name of a type's module.
_WRITERS = {
    "pyarrow": (f"{_HOME}.arrow_tables", "arrow_payload"),
    "pandas": (f"{_HOME}.pandas_frames", "pandas_payload"),
    "polars": (f"{_HOME}.polars_frames", "polars_payload"),
}
_SUFFIXES = {
    "json": ".json",
    "exact": ".json",
    "text": ".txt",
    "bytes": ".bin",
    "npy": ".npy",
    "npstr": ".txt",
    "npbytes": ".bin",
    "arrow": ".arrows",
    "pandas": ".arrows",
    "polars": ".arrows",
    "pickle": ".pickle",
}


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


def _exact_payload(value: Any) -> Payload | None:
    try:
        return Payload("exact", text=exact_text(value))
    except NotPlainError:
        return None


def _list_payload(value: list[Any]) -> Payload | None:
    if len(value) < LONG_LIST:
        return None
    from execution_dataflow.storage_formats.arrays import list_payload

    payload = list_payload(value)
    if payload is None and (text := text_of(value)) is not None:
        payload = Payload("json", text=text)
    return payload


def payload_of(name: str, value: Any) -> Payload:
    """Return a value in the first format that can hold it exactly, of those that a record has no short form for.

    Parameters
    ----------
    name : str
        Whose value it is, for the message of an error.
    value : object
        The value; of lists and dicts, those that `text_of` has no text for, and long lists.

    Raises
    ------
    UnstorableValueError
        There is none.
    """
    kind = type(value)
    payload: Payload | None
    if kind is bytes:
        payload = Payload("bytes", (value,))
    elif kind is str:
        payload = Payload("text", text=value)
    elif kind is list:
        payload = _list_payload(value) or _exact_payload(value)
    elif kind is dict:
        payload = _exact_payload(value)
    elif (numpy := sys.modules.get("numpy")) is not None and issubclass(kind, numpy.ndarray | numpy.generic):
        payload = _numpy_payload(value, numpy)
    elif (library := str(kind.__module__).partition(".")[0]) in _WRITERS:
        module, function = _WRITERS[library]
        payload = getattr(import_module(module), function)(value)
    else:
        payload = _exact_payload(value)
    if payload is None:
        from execution_dataflow.storage_formats.pickles import pickle_payload

        payload = pickle_payload(name, value)
    return payload


def _numpy_payload(value: Any, numpy: Any) -> Payload | None:
    from execution_dataflow.storage_formats import arrays

    if type(value) is numpy.ndarray:
        return arrays.array_payload(value)
    return arrays.scalar_payload(value) if isinstance(value, numpy.generic) else None

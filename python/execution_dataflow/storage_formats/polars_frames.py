"""Frames and series of polars as streams of Arrow IPC, written and read by polars itself."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from execution_dataflow.storage_formats.payloads import Payload

__all__ = ["polars_payload", "read_polars"]


def _bytes_of(frame: Any) -> memoryview:
    file = BytesIO()
    frame.write_ipc_stream(file)
    return file.getbuffer()


def _has_objects(dtype: Any) -> bool:
    import polars as pl

    if isinstance(dtype, pl.List | pl.Array):
        return _has_objects(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_has_objects(field.dtype) for field in dtype.fields)
    return dtype in (pl.Object, pl.Unknown)


def polars_payload(value: Any) -> Payload | None:
    """Return a frame or a series as a stream; ``None`` if it is none that a stream can hold exactly.

    Parameters
    ----------
    value : object
        Something of polars.
    """
    import polars as pl

    if type(value) is pl.DataFrame:
        frame = value
    elif type(value) is pl.Series:
        frame = value.to_frame()
    else:
        return None
    if any(map(_has_objects, frame.dtypes)):
        return None
    # What is not written of a dtype is not written of an empty frame either.
    if pl.read_ipc_stream(bytes(_bytes_of(frame.clear()))).schema != frame.schema:
        return None
    return Payload("polars", (_bytes_of(frame),), "series" if frame is not value else None)


def read_polars(data: memoryview, kind: object) -> Any:
    """Return the frame or series of a stream.

    Parameters
    ----------
    data : memoryview
        The stream.
    kind : object
        ``"series"``, or ``None`` for a frame.

    Raises
    ------
    Exception
        It is none.
    """
    import polars as pl

    frame = pl.read_ipc_stream(BytesIO(data))
    return frame.to_series() if kind == "series" else frame

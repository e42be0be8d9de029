"""Frames and series of pandas as streams of Arrow IPC, where these give the same frame again.

Arrow knows fewer kinds of columns and indices than pandas, and the libraries change what they convert and how. So what
was written is read again and compared: what differs, or has objects other than text, is pickled.
"""

from __future__ import annotations

from typing import Any

from execution_dataflow.storage_formats.arrow_tables import stream_of, table_in
from execution_dataflow.storage_formats.payloads import Payload

__all__ = ["pandas_payload", "read_pandas"]


def _is_text(values: Any) -> bool:
    """Whether objects are all text: of others, equality does not show the type."""
    return set(map(type, values)) <= {str}


def _has_other_objects(index_or_column: Any) -> bool:
    import numpy as np
    import pandas as pd

    if isinstance(index_or_column, pd.MultiIndex):
        return any(map(_has_other_objects, index_or_column.levels))
    dtype = index_or_column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _has_other_objects(dtype.categories)
    # Columns of text have a dtype of their own, whose kind is that of objects too.
    return isinstance(dtype, np.dtype) and dtype.kind == "O" and not _is_text(index_or_column)


def _is_same_index(one: Any, other: Any) -> bool:
    import pandas as pd

    if type(one) is not type(other) or list(one.names) != list(other.names) or not one.equals(other):
        return False
    if list(map(type, one.names)) != list(map(type, other.names)):
        return False
    if isinstance(one, pd.MultiIndex):
        return all(map(_is_same_index, one.levels, other.levels)) and bool((one.dtypes == other.dtypes).all())
    return bool(one.dtype == other.dtype) and getattr(one, "freq", None) == getattr(other, "freq", None)


def _is_same_frame(one: Any, other: Any) -> bool:
    return (
        _is_same_index(one.columns, other.columns)
        and _is_same_index(one.index, other.index)
        and list(one.dtypes) == list(other.dtypes)
        and one.equals(other)
    )


def pandas_payload(value: Any) -> Payload | None:
    """Return a frame or a series as a stream; ``None`` if it is none that a stream gives back exactly.

    Parameters
    ----------
    value : object
        Something of pandas.
    """
    import pandas as pd

    if type(value) is pd.DataFrame:
        frame, details = value, None
    elif type(value) is pd.Series and (value.name is None or type(value.name) is str):
        frame, details = value.to_frame("value"), {"name": value.name}
    else:
        return None
    if value.attrs or not value.flags.allows_duplicate_labels:
        return None
    try:
        import pyarrow as pa

        columns = (frame.iloc[:, place] for place in range(frame.shape[1]))
        if any(map(_has_other_objects, (frame.columns, frame.index, *columns))):
            return None
        stream = stream_of(pa.Table.from_pandas(frame))
        is_same = _is_same_frame(frame, table_in(stream).to_pandas())
    except Exception:
        # Of the many things that a conversion may stumble over, none is an error: a pickle holds every frame.
        return None
    return Payload("pandas", (stream,), details) if is_same else None


def read_pandas(data: memoryview, details: Any) -> Any:
    """Return the frame or series of a stream: a copy, which may be written to.

    Parameters
    ----------
    data : memoryview
        The stream.
    details : object
        ``None`` for a frame, for a series its name in a dict.

    Raises
    ------
    Exception
        It is none.
    """
    frame = table_in(data).to_pandas()
    if details is None:
        return frame.copy()
    return frame["value"].rename(details["name"]).copy()

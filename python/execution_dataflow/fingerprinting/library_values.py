"""Values of numpy, pandas, polars, Arrow and pydantic: by their content, not by how it lies in memory.

A library is asked only if it is imported: otherwise there is no value of it.
"""

from __future__ import annotations

import gc
import io
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

from execution_dataflow.fingerprinting.definitions import add_class, add_named
from execution_dataflow.fingerprinting.walks import Walk

__all__ = ["library_rule"]


def library_rule(value: Any) -> Callable[[Walk, Any], None] | None:
    """Return how a value of a library is added to a walk; ``None`` if there is nothing special about it."""
    top = type(value).__module__.partition(".")[0]
    rule = _TOPS.get(top)
    found = rule(value) if rule is not None else None
    if found is not None:
        return found
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _add_array  # of a subclass that is defined elsewhere
    if hasattr(type(value), "__pydantic_fields__") and not is_dataclass(value):
        return _add_model
    return None


# ---------------------------------------------------------------- numpy


def _numpy_rule(value: Any) -> Callable[[Walk, Any], None] | None:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.ndarray):
        return _add_array
    if isinstance(value, numpy.generic):
        return _add_scalar
    if isinstance(value, numpy.ufunc) and value.__name__.endswith(" (vectorized)"):
        return _add_vectorized
    return _add_dtype if isinstance(value, numpy.dtype) else None


def _add_vectorized(walk: Walk, value: Any) -> None:
    """Add what numpy.frompyfunc() made, which has no attribute for the function that it calls."""
    walk.text("vectorized", repr((value.nin, value.nout, value.identity)))
    functions = [found for found in gc.get_referents(value) if callable(found)]
    if not functions:
        raise walk.refuse(f"{value!r} does not tell which function it calls")
    walk.value(functions)


def _dtype_text(dtype: Any) -> str:
    numpy = sys.modules["numpy"]
    return repr(numpy.lib.format.dtype_to_descr(dtype)) if dtype.names else f"{dtype.str}{dtype.metadata or ''}"


def _add_dtype(walk: Walk, value: Any) -> None:
    walk.text("dtype", _dtype_text(value))


def _add_scalar(walk: Walk, value: Any) -> None:
    walk.text("scalar", _dtype_text(value.dtype))
    if value.dtype.hasobject:
        walk.value(value.item())
    else:
        walk.add("bytes", value.tobytes())


def _add_array(walk: Walk, value: Any) -> None:
    walk.large(value, lambda inner: _add_array_content(inner, value))


def _add_array_content(walk: Walk, value: Any) -> None:
    numpy = sys.modules["numpy"]
    # A map of a file is an array like others.
    add_named(walk, numpy.ndarray if isinstance(value, numpy.memmap) else type(value), is_versioned=False)
    if isinstance(value, numpy.ma.MaskedArray):
        mask = numpy.ma.getmaskarray(value)
        _add_plain_array(walk, mask)
        walk.value(value.fill_value)
        # What lies under the mask is no part of the value.
        hidden = numpy.zeros((), value.dtype)
        _add_plain_array(walk, numpy.where(mask, hidden, value.data) if not value.dtype.names else value.data)
    else:
        _add_plain_array(walk, value.view(numpy.ndarray))
    state = getattr(value, "__dict__", None)
    if state and not isinstance(value, numpy.memmap | numpy.ma.MaskedArray):
        walk.value(state)


def _add_plain_array(walk: Walk, values: Any) -> None:
    numpy = sys.modules["numpy"]
    walk.text("array", _dtype_text(values.dtype), repr(values.shape))
    if values.dtype.hasobject:
        for position, item in enumerate(values.reshape(-1).tolist()):
            walk.value(item, f"element {position}")
        return
    plain = numpy.ascontiguousarray(values)
    if plain.size and plain.dtype.itemsize:
        walk.memory(memoryview(plain.reshape(-1).view(numpy.uint8)))


# ---------------------------------------------------------------- pandas


def _pandas_rule(value: Any) -> Callable[[Walk, Any], None] | None:
    pandas = sys.modules.get("pandas")
    known = () if pandas is None else (pandas.DataFrame, pandas.Series, pandas.Index, pandas.Categorical)
    return _add_pandas if isinstance(value, known) else None


def _add_pandas(walk: Walk, value: Any) -> None:
    walk.large(value, lambda inner: _add_pandas_content(inner, value))


def _add_pandas_content(walk: Walk, value: Any) -> None:
    pandas = sys.modules["pandas"]
    add_named(walk, type(value), is_versioned=False)
    if isinstance(value, pandas.DataFrame):
        walk.value(value.index, "the index")
        walk.value(value.columns, "the columns")
        for position in range(value.shape[1]):
            _add_pandas_array(walk, value.iloc[:, position].array, f"column {value.columns[position]!r}")
        walk.value(value.attrs)
    elif isinstance(value, pandas.MultiIndex):
        walk.value(list(value.names))
        for level in range(value.nlevels):
            _add_pandas_array(walk, value.get_level_values(level).array, f"level {level}")
    elif isinstance(value, pandas.Categorical):
        walk.value(bool(value.ordered))
        walk.value(value.categories)
        walk.value(value.codes)
    else:
        walk.value(value.name)
        if isinstance(value, pandas.DatetimeIndex | pandas.TimedeltaIndex):
            walk.text("frequency", str(value.freqstr))
        elif isinstance(value, pandas.Series):
            walk.value(value.index, "the index")
            walk.value(value.attrs)
        _add_pandas_array(walk, value.array, "the values")


def _add_pandas_array(walk: Walk, values: Any, place: str) -> None:
    pandas, numpy = sys.modules["pandas"], sys.modules["numpy"]
    arrays, dtype = pandas.arrays, values.dtype
    walk.text("dtype", str(dtype))
    if isinstance(values, arrays.NumpyExtensionArray):
        walk.value(values.to_numpy(), place)
    elif isinstance(values, pandas.Categorical):
        walk.value(values, place)
    elif isinstance(values, arrays.DatetimeArray | arrays.TimedeltaArray | arrays.PeriodArray):
        walk.value(getattr(dtype, "tz", None), f"the time zone of {place}")
        _add_plain_array(walk, values.asi8)
    elif isinstance(values, arrays.IntegerArray | arrays.FloatingArray | arrays.BooleanArray):
        _add_plain_array(walk, numpy.asarray(values.isna()))
        _add_plain_array(walk, values.to_numpy(dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0)))
    else:
        _add_items(walk, values, place)


def _add_items(walk: Walk, values: Any, place: str) -> None:
    """Add text, intervals and what else an array may hold, whatever it is kept in."""
    pandas, numpy = sys.modules["pandas"], sys.modules["numpy"]
    missing = numpy.asarray(pandas.isna(values))
    _add_plain_array(walk, missing)
    given = [item for item, is_missing in zip(values, missing.tolist(), strict=True) if not is_missing]
    if isinstance(values.dtype, pandas.StringDtype):
        walk.text("strings", str(values.dtype.storage), "".join(given))
        _add_plain_array(walk, numpy.fromiter(map(len, given), "<i8", len(given)))
        return
    for item in given:
        walk.value(item, place)


# ---------------------------------------------------------------- Arrow and polars


def _arrow_rule(value: Any) -> Callable[[Walk, Any], None] | None:
    arrow = sys.modules.get("pyarrow")
    known = () if arrow is None else (arrow.Table, arrow.RecordBatch, arrow.Array, arrow.ChunkedArray)
    return _add_arrow if isinstance(value, known) else None


def _add_arrow(walk: Walk, value: Any) -> None:
    walk.large(value, lambda inner: _add_arrow_content(inner, value))


def _add_arrow_content(walk: Walk, value: Any) -> None:
    arrow = sys.modules["pyarrow"]
    from pyarrow import ipc

    add_named(walk, type(value), is_versioned=False)
    if isinstance(value, arrow.RecordBatch):
        value = arrow.Table.from_batches([value])
    elif not isinstance(value, arrow.Table):
        value = arrow.table({"": value})
    # In one piece: chunks are how it was read, and no part of the value.
    sink = arrow.BufferOutputStream()
    with ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value.combine_chunks())
    walk.add("arrow", memoryview(sink.getvalue()))


def _polars_rule(value: Any) -> Callable[[Walk, Any], None] | None:
    polars = sys.modules.get("polars")
    return None if polars is None or not isinstance(value, polars.DataFrame | polars.Series) else _add_polars


def _add_polars(walk: Walk, value: Any) -> None:
    walk.large(value, lambda inner: _add_polars_content(inner, value))


def _add_polars_content(walk: Walk, value: Any) -> None:
    polars = sys.modules["polars"]
    add_named(walk, type(value), is_versioned=False)
    frame = value.to_frame() if isinstance(value, polars.Series) else value
    walk.text("columns", *(f"{name}: {dtype!r}" for name, dtype in frame.schema.items()))
    walk.add("rows", frame.height.to_bytes(8, "little"))
    if any(dtype == polars.Object for dtype in frame.schema.values()):
        walk.value(frame.rows())
        return
    buffer = io.BytesIO()
    # Gathered anew, and in the oldest layout: otherwise it shows how the frame came to be, in bits that mean nothing.
    gathered = frame.select(polars.all().gather(polars.int_range(polars.len())))
    gathered.write_ipc(buffer, compat_level=polars.CompatLevel.oldest())
    walk.add("polars", buffer.getbuffer())


# ---------------------------------------------------------------- pydantic


def _add_model(walk: Walk, value: Any) -> None:
    with walk.inside(value) as is_inside:
        if is_inside:
            walk.add("itself")
            return
        add_class(walk, type(value))
        for part in (value.__dict__, value.__pydantic_extra__ or {}, value.__pydantic_private__ or {}):
            walk.add("fields", len(part).to_bytes(8, "little"))
            for name, item in part.items():
                walk.text("field", name)
                walk.value(item, f"attribute {name!r} of {type(value).__name__}")


_TOPS: dict[str, Callable[[Any], Callable[[Walk, Any], None] | None]] = {
    "numpy": _numpy_rule,
    "pandas": _pandas_rule,
    "pyarrow": _arrow_rule,
    "polars": _polars_rule,
}

"""How arrays are taken apart so that their memory passes by itself, where numpy would put a copy into the pickle.

numpy hands over the memory of plain contiguous arrays (rows first or columns first). What is here does so for the
others: slices with steps, arrays that repeat an axis, times, subclasses and masked arrays.
"""

from __future__ import annotations

import sys
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from execution_dataflow.shared_memory.memory import SharedMemory

__all__ = ["reduce_array"]

Array = Any
Reduced = tuple[Any, tuple[Any, ...]]

_TIMES = "mM"
_OWN_WAYS = ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")


def reduce_array(memory: SharedMemory, value: Any) -> Any:
    """Take an array apart; ``NotImplemented`` when pickle's or numpy's own way is as good.

    Parameters
    ----------
    memory : SharedMemory
        Where copies go.
    value : object
        Anything.
    """
    numpy = sys.modules.get("numpy")
    if (
        numpy is None
        or not isinstance(value, numpy.ndarray)
        or value.nbytes < memory.threshold
        or value.dtype.hasobject
    ):
        return NotImplemented
    if type(value) is numpy.ndarray:
        return _reduce_plain(memory, value)
    masked = sys.modules.get("numpy.ma")
    if masked is not None and type(value) is masked.MaskedArray:
        return _rebuild_masked, (value.data, masked.getmask(value), value.fill_value, value.hardmask)
    return _reduce_subclass(value, numpy.ndarray)


def _reduce_plain(memory: SharedMemory, array: Array) -> Any:
    flags = array.flags
    if not (flags.c_contiguous or flags.f_contiguous):
        return _reduce_scattered(memory, array)
    if array.dtype.kind in _TIMES:
        return _rebuild_times, (array.view("i8"), array.dtype)
    return NotImplemented


def _reduce_scattered(memory: SharedMemory, array: Array) -> Reduced:
    import numpy as np

    low, high = _bounds(array)
    lease: Any = memory.ledger.lease_at(low, high - low)
    if lease is not None:
        start = array.__array_interface__["data"][0] - low
        return _rebuild_strided, (PickleBuffer(lease), array.dtype, array.shape, array.strides, start)
    if 0 in array.strides:
        # An axis that repeats itself takes no memory, here or there.
        once = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in array.strides)
        return _rebuild_repeated, (array[once], array.shape)
    fresh = memory.empty(array.shape, array.dtype)
    np.copyto(fresh, array)
    memory.ledger.count_copy(array.nbytes)
    return _as_it_is, (fresh,)


def _reduce_subclass(array: Array, plain: type[Any]) -> Any:
    kind = type(array)
    if any(getattr(kind, name, None) is not getattr(plain, name, None) for name in _OWN_WAYS):
        return NotImplemented
    return _rebuild_subclass, (array.view(plain), kind)


def _bounds(array: Array) -> tuple[int, int]:
    """Return the addresses between which an array that is not empty lies."""
    low = high = array.__array_interface__["data"][0]
    for side, stride in zip(array.shape, array.strides, strict=True):
        if stride < 0:
            low += (side - 1) * stride
        else:
            high += (side - 1) * stride
    return low, high + array.itemsize


def _as_it_is(array: Array) -> Array:
    return array


def _rebuild_times(numbers: Array, dtype: np.dtype[Any]) -> Array:
    return numbers.view(dtype)


def _rebuild_strided(
    buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...], start: int
) -> Array:
    import numpy as np

    return np.ndarray(shape, dtype, buffer=buffer, offset=start, strides=strides)


def _rebuild_repeated(once: Array, shape: tuple[int, ...]) -> Array:
    import numpy as np

    return np.broadcast_to(once, shape)


def _rebuild_subclass(array: Array, kind: type[Any]) -> Array:
    return array.view(kind)


def _rebuild_masked(data: Array, mask: Array, fill_value: Any, hard_mask: bool) -> Array:
    import numpy.ma as masked

    result = masked.MaskedArray(data, mask=mask, fill_value=fill_value, hard_mask=hard_mask)
    return result

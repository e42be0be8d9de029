"""The names of dtypes that are known without their libraries, so that a misspelt one is found where it is written."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import Any, TypeVar

from execution_dataflow.errors import PortError

__all__ = ["checked_dtype"]

T = TypeVar("T")

# Without digits at the end: of numpy, pandas, polars, Arrow, and of dtypes that others register with these.
_WITHOUT_DIGITS = """
    any array binary binary_view bool boolean byte bytes categorical category complex cdouble clongdouble csingle date
    datetime datetime64[ns] dbdate dbjson dbtime decimal dense_union dictionary double duration enum extension
    fixed_shape_tensor fixed_size_binary fixed_size_list float geometry half halffloat int interval intc intp json
    large_binary large_list large_list_view large_string list list_view long longdouble longlong map
    month_day_nano_interval null object opaque period pint record run_end_encoded short single sparse sparse_union
    string string_view struct time timedelta timestamp tuple ubyte uint uintc uintp ulong ulonglong unicode unknown
    ushort utf8 uuid void bool_ bytes_ str str_ object_
"""
_WITH_DIGITS = {
    "int": "2 4 8 16 32 64 128 256",
    "uint": "1 2 4 8 16 32 64 128 256",
    "qint": "8 16 32",
    "quint": "8 16",
    "float": "4 6 8 16 32 64 80 96 128 256",
    "bfloat": "16",
    "complex": "32 64 128 160 192 256 512",
    "bool": "8",
    "date": "32 64",
    "time": "32 64",
    "datetime": "64",
    "timedelta": "64",
    "decimal": "32 64 128 256",
}
_KNOWN = {
    *_WITHOUT_DIGITS.split(),
    *(f"{name}{digits}" for name, known in _WITH_DIGITS.items() for digits in known.split()),
}
_HEAD = re.compile(r"[a-z_]+[0-9]*")
# A name that is shorter may be anything; one that is less alike may be the dtype of a library that is not known here.
_SHORTEST = 5
_LEAST_ALIKE = 0.8


def checked_dtype(owner: str, dtype: T) -> T:
    """Return a dtype, or raise an error for a misspelt name and for a value that is none.

    A name that is like no other one may be that of a library: it is left for the values to show.

    Parameters
    ----------
    owner : str
        What the dtype was given to, for the message.
    dtype : object
        What was given.

    Returns
    -------
    object
        The dtype.

    Raises
    ------
    PortError
        It is a misspelt name, or a number.

    Examples
    --------
    >>> checked_dtype("ArraySpec", "float64")
    'float64'
    >>> checked_dtype("ArraySpec", "flaot64")
    Traceback (most recent call last):
    execution_dataflow.errors.PortError: ArraySpec: there is no dtype 'flaot64'; did you mean 'float64'?
    """
    if isinstance(dtype, int | float | complex):
        raise PortError(f"{owner}: {dtype!r} is no dtype; give one such as 'int64' or float")
    if not isinstance(dtype, str):
        return dtype
    head = _HEAD.match(dtype.lower())
    name = "" if head is None else head.group()
    if len(name) < _SHORTEST or name in _KNOWN:
        return dtype
    from difflib import get_close_matches  # an error path only: the import stays out of start-up

    alike = get_close_matches(name, sorted(_KNOWN), n=8, cutoff=_LEAST_ALIKE)
    if alike and not _is_registered(dtype):
        nearest = next((known for known in alike if len(known) == len(name)), alike[0])
        raise PortError(f"{owner}: there is no dtype {dtype!r}; did you mean {nearest!r}?")
    return dtype


def _is_registered(dtype: str) -> bool:
    """Return whether numpy or pandas know a name, to which libraries may have added their own."""
    numpy: Any = sys.modules.get("numpy")
    pandas: Any = sys.modules.get("pandas")
    with suppress(Exception):  # libraries raise what they like, and may not be there
        numpy.dtype(dtype)
        return True
    with suppress(Exception):
        pandas.api.types.pandas_dtype(dtype)
        return True
    return False

"""Numpy arrays as ``.npy`` files: a header, and the memory of the array as it is.

An array is written from its own memory, and one that is read lies in the memory that was read, where it cannot be
written to. Scalars of numpy are arrays of no dimensions, and long lists of numbers are arrays of one.
"""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache
from math import prod
from struct import pack, unpack_from
from typing import Any

from execution_dataflow.storage_formats.payloads import Payload
from execution_dataflow.store_errors import StoreFormatError
from execution_dataflow.stores.artifacts import Bytes

__all__ = ["array_payload", "list_payload", "read_array", "read_bytes_scalar", "read_text_scalar", "scalar_payload"]

_MAGIC = b"\x93NUMPY"
# So that the array itself begins at a boundary of cache lines, as the format wants it.
_ALIGNMENT = 64
# Of Python texts in headers: numpy itself refuses longer ones as dangerous to parse.
_LONGEST_HEADER = 10_000
_INT64 = 2**63


@lru_cache(maxsize=256)
def _description(dtype: Any) -> Any:
    """How ``.npy`` writes a dtype, in a tuple; ``None`` where it has no way to write it exactly."""
    from numpy.lib import format as npy

    if dtype.hasobject or dtype.kind not in "biufcmMSUV" or dtype.isbuiltin == 2 or dtype.isalignedstruct:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            description = npy.dtype_to_descr(dtype)
            again = npy.descr_to_dtype(description)
        except (TypeError, ValueError):
            return None
    return (description,) if again == dtype and again.fields == dtype.fields else None


@lru_cache(maxsize=256)
def _header(dtype: Any, is_fortran: bool, shape: tuple[int, ...]) -> bytes | None:
    description = _description(dtype)
    if description is None:
        return None
    text = f"{{'descr': {description[0]!r}, 'fortran_order': {is_fortran}, 'shape': {shape!r}, }}"
    if len(text) > _LONGEST_HEADER - _ALIGNMENT:
        return None
    try:
        version, content = b"\x01\x00", text.encode("latin-1")
    except UnicodeEncodeError:
        version, content = b"\x03\x00", text.encode("utf-8")
    prefix = len(_MAGIC) + 2 + (2 if version == b"\x01\x00" else 4)
    content += b" " * (-(prefix + len(content) + 1) % _ALIGNMENT) + b"\n"
    return _MAGIC + version + pack("<H" if prefix == 10 else "<I", len(content)) + content


def array_payload(array: Any) -> Payload | None:
    """Return an array as a ``.npy`` file; ``None`` if that could not hold it exactly.

    Parameters
    ----------
    array : numpy.ndarray
        The array, of no subclass.

    Examples
    --------
    >>> import numpy as np
    >>> payload = array_payload(np.arange(3.0))
    >>> payload.format, [len(part) for part in payload.parts]
    ('npy', [128, 24])
    """
    import numpy as np

    dtype = array.dtype
    if dtype.metadata is not None:
        return None
    flags = array.flags
    is_fortran = flags.f_contiguous and not flags.c_contiguous
    header = _header(dtype, is_fortran, array.shape)
    if header is None:
        return None
    if array.nbytes == 0:
        return Payload("npy", (header,), is_mapped=True)
    if is_fortran:
        array = array.T
    elif not flags.c_contiguous:
        array = np.ascontiguousarray(array)
    # Numbers of time have no buffers; all have bytes.
    return Payload("npy", (header, memoryview(array.reshape(-1).view(np.uint8))), is_mapped=True)


def scalar_payload(scalar: Any) -> Payload | None:
    """Return a scalar of numpy as a ``.npy`` file of no dimensions, or its text; ``None`` if neither holds it exactly.

    Parameters
    ----------
    scalar : numpy.generic
        The scalar.
    """
    import numpy as np

    if scalar.dtype.type is not type(scalar):
        return None
    if isinstance(scalar, np.str_):
        # An array would not know of zeros at its end; nor does numpy's own pickle.
        return Payload("npstr", (str.__str__(scalar).encode("utf-8", "surrogatepass"),))
    if isinstance(scalar, np.bytes_):
        return Payload("npbytes", (bytes(scalar),))
    payload = array_payload(np.asarray(scalar))
    return payload and payload._replace(details="scalar", is_mapped=False)


def list_payload(items: list[Any]) -> Payload | None:
    """Return a long list of floats, or of integers, as an array; ``None`` if it is something else.

    Parameters
    ----------
    items : list
        The list.
    """
    kinds = set(map(type, items))
    if kinds not in ({float}, {int}):
        return None
    import numpy as np

    if kinds == {int} and not (min(items) >= -_INT64 and max(items) < _INT64):
        return None
    payload = array_payload(np.fromiter(items, "<i8" if kinds == {int} else "<f8", len(items)))
    return payload and payload._replace(details="list", is_mapped=False)


@lru_cache(maxsize=256)
def _layout(version: int, content: bytes) -> tuple[Any, bool, tuple[int, ...]]:
    """The dtype, order and shape that a header describes."""
    from numpy.lib import format as npy

    if len(content) > _LONGEST_HEADER:
        raise ValueError(f"its header has {len(content)} bytes")
    try:
        header = ast.literal_eval(content.decode("utf-8" if version == 3 else "latin-1").strip())
    except MemoryError:
        raise ValueError("its header is nested too deep") from None
    shape = header["shape"]
    if type(shape) is not tuple or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"{shape!r} is no shape")
    try:
        dtype = npy.descr_to_dtype(header["descr"])
    except TypeError as error:
        # Such as one of 16 bytes, which not every processor has.
        raise StoreFormatError(
            f"an array of dtype {header['descr']!r} cannot be read on this machine: {error}"
        ) from error
    if dtype.hasobject:
        raise ValueError("an array of objects is no .npy file here")
    return dtype, header["fortran_order"] is True, shape


def read_array(data: memoryview, details: object) -> Any:
    """Return an array that lies in given memory, or the scalar or list that it stands for.

    Parameters
    ----------
    data : memoryview
        A ``.npy`` file.
    details : object
        ``None``, ``"scalar"`` or ``"list"``.

    Raises
    ------
    Exception
        It is none.
    """
    import numpy as np

    version = data[6]
    if data[:6] != _MAGIC or version not in (1, 2, 3):
        raise ValueError("it does not begin as a .npy file does")
    begin = 10 if version == 1 else 12
    (length,) = unpack_from("<H" if version == 1 else "<I", data, 8)
    dtype, is_fortran, shape = _layout(version, bytes(data[begin : begin + length]))
    content: Bytes = data[begin + length :]
    if len(content) != prod(shape) * dtype.itemsize:
        raise ValueError(f"it has {len(content)} bytes of data, not those of shape {shape} and dtype {dtype}")
    array: Any = np.ndarray(shape, dtype, content if len(content) else b"", order="F" if is_fortran else "C")
    if details == "scalar":
        return array.copy()[()]
    if details == "list":
        return array.tolist()
    array.flags.writeable = False
    return array


def read_text_scalar(data: memoryview, _: object) -> Any:
    """Return text of numpy's own type."""
    import numpy as np

    return np.str_(str(data, "utf-8", "surrogatepass"))


def read_bytes_scalar(data: memoryview, _: object) -> Any:
    """Return bytes of numpy's own type."""
    import numpy as np

    return np.bytes_(bytes(data))

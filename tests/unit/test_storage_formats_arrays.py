"""Arrays come back equal, of the same dtype, shape and order, and lie in the memory that was read."""

from __future__ import annotations

import mmap
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from stored_artifacts import MISSING, MemoryArtifacts, codec_over, format_of, round_trip

from execution_dataflow.stores.artifacts import Bytes
from execution_dataflow.stores.directory import DirectoryArtifacts

DTYPES = (
    arrays.scalar_dtypes()
    | arrays.byte_string_dtypes()
    | arrays.unicode_string_dtypes()
    | arrays.array_dtypes(arrays.scalar_dtypes(), max_size=3)
    | arrays.nested_dtypes(max_leaves=4)
)


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    assert one.dtype == other.dtype
    assert one.dtype.byteorder == other.dtype.byteorder
    assert one.shape == other.shape
    # Bytes, since NaN differs from itself.
    assert one.tobytes() == other.tobytes()


@settings(max_examples=80)
@given(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0)), st.sampled_from([0, 1 << 20]), st.data())
def test_arrays_of_every_dtype_and_shape_come_back(array: Any, inline_bytes: int, data: st.DataObject) -> None:
    if array.ndim:
        array = data.draw(st.sampled_from([array, np.asfortranarray(array), array[::-1], array.T, array[..., ::2]]))
    returned = round_trip(array, trusts_pickles=False, inline_bytes=inline_bytes)
    assert_same(returned, array)
    assert not returned.flags.writeable
    assert returned.size < 2 or returned.flags.f_contiguous or not array.flags.f_contiguous


@settings(max_examples=60)
@given(arrays.arrays(DTYPES, ()))
def test_scalars_of_numpy_come_back(array: Any) -> None:
    assert_same(round_trip(array[()]), array[()])


@pytest.mark.parametrize(
    "scalar", [np.bytes_(b"a\0"), np.str_("a\0"), np.str_(""), np.str_("\ud800"), np.datetime64("NaT"), np.void(b"ab")]
)
def test_unusual_scalars_of_numpy_come_back(scalar: Any) -> None:
    returned = round_trip(scalar, trusts_pickles=False)
    assert type(returned) is type(scalar)
    assert repr(returned) == repr(scalar)
    assert returned.dtype == scalar.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], dtype=object),
        np.array([(1, "a")], dtype=[("n", "i4"), ("o", object)]),
        np.ma.masked_array([1, 2], [True, False]),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        np.zeros(3, np.dtype("f8", metadata={"unit": "m"})),
    ],
    ids=lambda array: f"{type(array).__name__}-{array.dtype}",
)
def test_what_a_npy_file_cannot_hold_comes_back_by_pickle(array: Any) -> None:
    assert format_of(array) == "pickle"
    returned = round_trip(array)
    assert type(returned) is type(array)
    assert returned.dtype == array.dtype
    assert returned.dtype.metadata == array.dtype.metadata
    assert returned.dtype.isalignedstruct == array.dtype.isalignedstruct
    assert returned.tolist() == array.tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=">i2").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.5),
        np.zeros((0, 3)),
        np.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
        np.array([(1, "é")], dtype=[("größe", "<i4"), ("name", "<U3")]),
        np.zeros(2, [(f"field{number}", "f8") for number in range(100)]),
    ],
    ids=lambda array: f"{array.dtype.kind}{array.shape}",
)
def test_an_artifact_is_a_file_that_numpy_reads(array: Any) -> None:
    artifacts = MemoryArtifacts()
    codec_over(artifacts, inline_bytes=0).encode_outputs(["out"], [array], MISSING)
    ((name, content),) = artifacts.content.items()
    assert name.endswith(".npy")
    read = np.load(BytesIO(content), allow_pickle=False)
    assert_same(read, array)
    assert len(content) % 64 == array.nbytes % 64


class Watching(MemoryArtifacts):
    """Keeps the very parts that it was given."""

    parts: tuple[Bytes, ...] = ()

    def write(self, name: str, parts: Any) -> None:
        self.parts = tuple(parts)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_is_written_from_its_own_memory(order: Any) -> None:
    artifacts = Watching()
    array = np.ones((300, 300), order=order)
    codec_over(artifacts).encode_outputs(["out"], [array], MISSING)
    assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in artifacts.parts)


def test_arrays_in_a_dict_are_written_from_their_own_memory() -> None:
    artifacts = Watching()
    value = {"first": np.ones(10_000), "second": np.ones(20_000)}
    codec_over(artifacts).encode_outputs(["out"], [value], MISSING)
    for array in value.values():
        assert any(np.shares_memory(np.frombuffer(part, np.uint8), array) for part in artifacts.parts)


def owner_of(array: Any) -> Any:
    """What the memory of an array belongs to in the end."""
    while isinstance(array, np.ndarray | memoryview):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return array


def read_from_files(folder: Path, value: object) -> Any:
    codec = codec_over(DirectoryArtifacts(folder))
    return codec.decode_outputs(codec.encode_outputs(["out"], [value], MISSING).record, MISSING)[0]


def test_a_large_array_is_mapped_from_its_file_and_cannot_be_written_to(tmp_path: Path) -> None:
    array = np.arange(100_000.0)
    returned = read_from_files(tmp_path, array)
    assert_same(returned, array)
    assert isinstance(owner_of(returned), mmap.mmap)
    assert returned.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        returned[0] = 5


def test_arrays_in_a_dict_are_mapped_and_may_be_written_to_as_before(tmp_path: Path) -> None:
    locked = np.arange(50_000.0)
    locked.flags.writeable = False
    codec = codec_over(DirectoryArtifacts(tmp_path))
    record = codec.encode_outputs(["out"], [{"open": np.zeros(50_000), "locked": locked}], MISSING).record
    (returned,) = codec.decode_outputs(record, MISSING)
    assert all(isinstance(owner_of(array), mmap.mmap) for array in returned.values())
    assert not returned["locked"].flags.writeable
    returned["open"][:] = 7
    (again,) = codec.decode_outputs(record, MISSING)
    assert again["open"].max() == 0


def test_arrays_in_a_dict_may_be_written_to_where_nothing_is_mapped() -> None:
    returned = round_trip({"array": np.zeros(50_000), "small": np.zeros(3)})
    returned["array"][0] = returned["small"][0] = 1
    assert returned["array"][0] == 1


def test_an_array_that_shares_memory_with_another_in_a_dict_still_does() -> None:
    array = np.zeros(5000)
    returned = round_trip({"one": array, "same": array})
    assert returned["one"] is returned["same"]

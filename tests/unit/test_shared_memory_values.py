"""What kinds of values arrive as they were, and which of them pass without their bytes in the message."""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pytest

from execution_dataflow._core import Lease
from execution_dataflow.shared_memory import THRESHOLD, SharedMemory, pack, reduce_array
from execution_dataflow.shared_memory.sizes import ALONE, PAGE, block_size, blocks_at_once

ROWS = 60_000
record = np.dtype([("name", "S8"), ("at", "<i8"), ("inner", [("x", "f4"), ("y", "f4", (2,))])])


class Tagged(np.ndarray[Any, Any]):
    """A subclass without ways of its own."""


class Own(np.ndarray[Any, Any]):
    """A subclass that pickles in its own way."""

    def __reduce__(self) -> Any:
        return own_way, (self.tolist(),)


def own_way(values: list[float]) -> Any:
    return np.array(values).view(Own)


def numbers(*shape: int) -> Any:
    return np.arange(float(np.prod(shape))).reshape(shape)


def records() -> Any:
    array = np.zeros(ROWS, record)
    array["at"] = np.arange(ROWS)
    array["inner"]["y"][:, 1] = 3
    return array


def masked() -> Any:
    return np.ma.masked_where(numbers(ROWS) % 3 == 0, numbers(ROWS), copy=True)


LARGE: dict[str, Callable[[], Any]] = {
    "numbers": lambda: numbers(ROWS),
    "rows": lambda: numbers(300, 200),
    "columns": lambda: np.asfortranarray(numbers(300, 200)),
    "every other": lambda: numbers(2 * ROWS)[::2],
    "backwards": lambda: numbers(ROWS)[::-1],
    "a corner": lambda: numbers(400, 400)[50:350, 50:350],
    "axes turned": lambda: numbers(30, 40, 50).transpose(1, 2, 0),
    "repeated": lambda: np.broadcast_to(numbers(200), (500, 200)),
    "repeated within": lambda: np.broadcast_to(numbers(300, 1), (300, 200)),
    "records": records,
    "every other record": lambda: records()[::2],
    "a field": lambda: records()["inner"]["x"].repeat(2)[::2],
    "times": lambda: np.arange(ROWS).astype("M8[s]"),
    "spans": lambda: np.arange(ROWS).astype("m8[ms]"),
    "every other time": lambda: np.arange(2 * ROWS).astype("M8[s]")[::2],
    "text": lambda: np.arange(ROWS).astype("U8"),
    "truth": lambda: np.arange(4 * ROWS) % 2 == 0,
    "complex": lambda: numbers(ROWS) * 1j,
    "the other byte order": lambda: numbers(ROWS).astype(">f8"),
    "a subclass": lambda: numbers(ROWS).view(Tagged),
    "records as attributes": lambda: records().view(np.recarray),
    "masked": masked,
    "nothing masked": lambda: np.ma.MaskedArray(numbers(ROWS)),
    "in a dict": lambda: {"x": numbers(ROWS), "y": [numbers(ROWS)[::-1]]},
}
IN_THE_PICKLE: dict[str, Callable[[], Any]] = {
    "objects": lambda: np.array([{"at": at} for at in range(ROWS)], dtype=object),
    "a subclass with a way of its own": lambda: numbers(ROWS).view(Own),
    "bytes": lambda: bytes(THRESHOLD * 2),
    "a bytearray": lambda: bytearray(THRESHOLD * 2),
    "a text": lambda: "ä" * THRESHOLD,
    "a list": lambda: [str(number) for number in range(ROWS)],
}
SMALL: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "no rows": lambda: np.empty((0, 5)),
    "no columns": lambda: np.empty((ROWS, 0), order="F"),
    "no dimensions": lambda: np.array(3.5),
    "a scalar": lambda: np.float32(2.5),
    "a few": lambda: np.arange(5),
    "a few, every other": lambda: np.arange(10)[::2],
    "a date": lambda: datetime.date(2026, 11, 23),
    "void": lambda: np.zeros(3, "V0"),
    "a subclass": lambda: np.arange(3.0).view(Tagged),
}


@pytest.fixture
def memory() -> SharedMemory:
    return SharedMemory()


def assert_same(back: Any, value: Any) -> None:
    assert type(back) is type(value)
    if isinstance(value, dict):
        assert back.keys() == value.keys()
        for key in value:
            assert_same(back[key], value[key])
    elif isinstance(value, np.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert np.ma.getmaskarray(back).tolist() == np.ma.getmaskarray(value).tolist() if np.ma.isMA(value) else True
        assert back.dtype.hasobject or back.tobytes() == value.tobytes()
        assert back.dtype.names is not None or back.tolist() == value.tolist()
    elif isinstance(value, list):
        assert len(back) == len(value)
        for one, other in zip(back, value, strict=True):
            assert_same(one, other)
    else:
        assert back == value


@pytest.mark.parametrize("name", LARGE)
def test_large_arrays_arrive_as_they_were_with_one_copy(name: str, memory: SharedMemory) -> None:
    value = LARGE[name]()
    parcel = pack(memory, value)
    assert not isinstance(parcel.payload, Lease)
    assert sum(map(len, parcel.payload)) < 2000
    assert memory.stats().bytes_copied <= pickle.dumps(value, 5).__len__() + 1000
    assert_same(parcel.load(), value)
    # What was received is in shared memory, so passing it on copies nothing.
    before = memory.stats().copies
    received = parcel.load()
    again = pack(memory, received)
    assert memory.stats().copies == before
    assert_same(again.load(), value)


@pytest.mark.parametrize("name", IN_THE_PICKLE)
def test_what_is_no_plain_memory_arrives_by_one_large_pickle(name: str, memory: SharedMemory) -> None:
    value = IN_THE_PICKLE[name]()
    parcel = pack(memory, value)
    assert parcel.parts == ()
    assert memory.stats().copies >= 1
    assert_same(parcel.load(), value)


@pytest.mark.parametrize("name", SMALL)
def test_small_values_take_no_shared_memory(name: str, memory: SharedMemory) -> None:
    value = SMALL[name]()
    parcel = pack(memory, value)
    assert_same(parcel.load(), value)
    assert memory.stats() == (0, 0, 0, 0, 0, 0)


def test_another_pickler_can_be_used(memory: SharedMemory) -> None:
    array = numbers(ROWS)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, file: Any, callback: Any) -> None:
            super().__init__(file, 5, callback)

        def reducer_override(self, value: Any) -> Any:
            reduced = reduce_array(memory, value)
            return super().reducer_override(value) if reduced is NotImplemented else reduced

    parcel = pack(memory, (lambda values: values.sum(), array[::-1]), Pickler)
    function, values = parcel.load()
    assert function(values) == array.sum()
    assert memory.stats().bytes_copied == array.nbytes


def test_columns_stay_columns(memory: SharedMemory) -> None:
    back = pack(memory, np.asfortranarray(numbers(300, 200))).load()
    assert back.flags.f_contiguous
    assert not back.flags.c_contiguous


@pytest.mark.parametrize("writeable", [False, True])
def test_small_arrays_are_as_read_only_as_large_ones(writeable: bool, memory: SharedMemory) -> None:
    assert pack(memory, np.arange(5)).load(writeable=writeable).flags.writeable is writeable
    locked = np.arange(5)
    locked.setflags(write=False)
    assert not pack(memory, locked).load(writeable=writeable).flags.writeable


def test_views_of_one_array_share_its_memory_there_too(memory: SharedMemory) -> None:
    array = memory.empty((ROWS,))
    array[:] = 0.0
    left, right = pack(memory, (array[: ROWS // 2 + 5000], array[5000:])).load()
    assert np.shares_memory(left, right)
    assert np.shares_memory(left, array)


@pytest.mark.parametrize(
    ("shape", "dtype", "order"),
    [((300, 200), "f8", "C"), ((300, 200), "f8", "F"), (ROWS, np.float64, "C"), ([400, 100], record, "C")],
)
def test_an_empty_array_has_its_shape(shape: Any, dtype: Any, order: Any, memory: SharedMemory) -> None:
    array, expected = memory.empty(shape, dtype, order), np.empty(shape, dtype, order)
    assert (array.shape, array.dtype, array.strides) == (expected.shape, expected.dtype, expected.strides)
    assert array.flags.writeable
    assert memory.stats().blocks_in_use == 1
    del array
    assert memory.stats().blocks_in_use == 0


@pytest.mark.parametrize(("shape", "dtype"), [((), "f8"), ((0, 9_000_000), "f8"), (10, "u1"), (ROWS, object)])
def test_an_array_that_needs_no_sharing_is_an_ordinary_one(shape: Any, dtype: Any, memory: SharedMemory) -> None:
    array = memory.empty(shape, dtype)
    assert array.base is None
    assert memory.stats().segments == 0


def test_a_shape_that_makes_no_sense_is_refused_as_numpy_does(memory: SharedMemory) -> None:
    with pytest.raises(ValueError, match="negative dimensions"):
        memory.empty((-1, -9_000_000))
    with pytest.raises(TypeError):
        memory.empty("wide")  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [1, PAGE, PAGE + 1, THRESHOLD, 1_000_003, ALONE - 1, ALONE + 1, (1 << 30) + 1])
def test_a_block_holds_what_it_is_for_and_little_more(length: int) -> None:
    size = block_size(length)
    assert length <= size <= length * 1.125 + PAGE
    assert size % PAGE == 0
    assert block_size(size) == size


def test_segments_grow_with_what_there_is() -> None:
    made, segments = 0, 0
    while made < 20_000:
        made += blocks_at_once(THRESHOLD, made)
        segments += 1
    assert segments < 60
    assert blocks_at_once(ALONE, 10_000) == 1


pandas = pytest.importorskip("pandas", reason="the rest of this module is about data frames")


def test_a_data_frame_passes_by_its_columns(memory: SharedMemory) -> None:
    frame = pandas.DataFrame({"x": numbers(ROWS), "y": np.arange(ROWS), "t": np.arange(ROWS).astype("M8[s]")})
    parcel = pack(memory, frame)
    assert memory.stats().bytes_copied >= 3 * 8 * ROWS
    back = parcel.load()
    pandas.testing.assert_frame_equal(back, frame)
    before = memory.stats().copies
    again = pack(memory, back).load()
    assert memory.stats().copies == before
    pandas.testing.assert_frame_equal(again, frame)
    assert np.shares_memory(again["x"].to_numpy(), back["x"].to_numpy())


def test_an_arrow_table_passes_by_its_buffers(memory: SharedMemory) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"x": numbers(ROWS), "name": [f"row {at}" for at in range(ROWS)]})
    parcel = pack(memory, table)
    assert memory.stats().copies > 0
    back = parcel.load()
    assert back.equals(table)
    before = memory.stats().copies
    again = pack(memory, back).load()
    assert memory.stats().copies == before
    assert again.equals(table)
    assert again.column("x").chunk(0).buffers()[1].address == back.column("x").chunk(0).buffers()[1].address

"""Records of scalars are made natively, and to the bit as Python makes them."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_dataflow import _core
from execution_dataflow.storage_formats import ValueCodec
from execution_dataflow.stores.directory import DirectoryArtifacts


class Colour(enum.IntEnum):
    RED = 1


class Length(float):
    """No plain number."""


SCALARS = st.one_of(
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters()),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"])),
    st.text(min_size=1000, max_size=1100),
    st.booleans(),
    st.none(),
    st.just(_core.MISSING),
)
OTHERS = st.sampled_from([Colour.RED, Length(1.5), [1, 2], {"a": 1}, (1, 2), 10**4000, b"bytes"])


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> DirectoryArtifacts:
    return DirectoryArtifacts(Path(tmp_path_factory.mktemp("artifacts")))


@given(st.lists(st.one_of(SCALARS, SCALARS, OTHERS), max_size=5), st.binary(max_size=70))
def test_native_records_are_those_of_python(artifacts: DirectoryArtifacts, values: list[Any], bound_to: bytes) -> None:
    codec = ValueCodec(artifacts, trusts_pickles=True, prefix="native")
    names = [f"output {place}" for place in range(len(values))]
    # Only tuples are taken natively.
    by_python = codec.encode_outputs(names, values, _core.MISSING, bound_to=bound_to)
    assert codec.encode_outputs(names, tuple(values), _core.MISSING, bound_to=bound_to) == by_python
    found = codec.decode_outputs(by_python.record, _core.MISSING, bound_to=bound_to)
    assert list(map(repr, found)) == list(map(repr, values))
    assert list(map(type, found)) == list(map(type, values))


@given(st.tuples(SCALARS))
def test_scalars_are_taken_natively(values: tuple[object]) -> None:
    (value,) = values
    record = _core.scalar_record(values, _core.MISSING, b"head", b"")
    needs_care = (
        (isinstance(value, int) and not -(2**63) <= value < 2**63)
        or (isinstance(value, float) and repr(value) in ("nan", "inf", "-inf"))
        or (
            isinstance(value, str)
            and (len(value.encode(errors="surrogatepass")) > 1024 or any(c < " " or c in '"\\' for c in value))
        )
        or (isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value))
    )
    assert (record is None) == needs_care

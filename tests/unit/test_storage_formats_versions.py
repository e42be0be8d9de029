"""What version 1 of the storage format wrote is read for as long as there is this package.

`tests/data/storage-format-1.json` was written once, by the first version, with `codec.encode_outputs(NAMES, values(),
MISSING, bound_to=b"golden")`: in a record (``inline_bytes=1 << 20``), in artifacts (``inline_bytes=0``), and in a
signed record beside artifacts (``inline_bytes=5000``). It is never written anew.
"""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from stored_artifacts import MISSING, MemoryArtifacts, codec_over, is_same

from execution_dataflow.store_errors import DamagedArtifactError, UntrustedArtifactError

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "storage-format-1.json"
KEY = b"the key of the golden file"


def values() -> dict[str, Any]:
    return {
        "none": None,
        "missing": MISSING,
        "integer": -(10**30),
        "float": float("-inf"),
        "text": "é\ud800$",
        "long text": "text " * 1800,
        "plain": {"a": [1, 2.5, True], "": None},
        "exact": ({1: {2, 3}}, frozenset("a"), b"b", bytearray(b"c"), 1j, Decimal("1.20"), {"$tuple": 1}),
        "times": [datetime(2026, 1, 2, 3, 4, 5, 6, UTC), timedelta(days=-1, microseconds=7)],
        "huge": [10**1000],
        "bytes": b"\0\xff",
        "numbers": [0.1] * 1000,
        "array": np.arange(6, dtype=">i4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "structured": np.array([(1, "x")], dtype=[("größe", "<f4"), ("name", "<U2")]),
        "scalar": np.float32(1.5),
        "numpy text": np.str_("x"),
        "numpy bytes": np.bytes_(b"x"),
        "pickle": Fraction(1, 3),
        "buffers": {"a": np.zeros(500), "b": [np.ones(500)]},
        "arrow": pa.table({"a": [1, None]}),
        "batch": pa.record_batch({"a": [1, None]}),
        "array of arrow": pa.array(["x", None]),
        "chunks": pa.chunked_array([[1], [2]]),
        "pandas": pd.DataFrame({"a": [1, 2], "b": [0.5, None]}),
        "series of pandas": pd.Series([1.5], name="s"),
        "polars": pl.DataFrame({"a": [1, None], "b": ["x", "y"]}),
        "series of polars": pl.Series("s", [1, 2]),
    }


def is_equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    if isinstance(one, dict) and "b" in one:
        return is_equal(one["a"], other["a"]) and is_equal(one["b"][0], other["b"][0])
    return is_same(one, other)


@pytest.fixture(scope="module")
def golden() -> Any:
    return json.loads(GOLDEN.read_text(encoding="ascii"))


@pytest.mark.parametrize(("kind", "key"), [("records", None), ("artifacts", None), ("signed", KEY)])
def test_version_1_is_read(golden: Any, kind: str, key: bytes | None) -> None:
    written = golden[kind]
    artifacts = MemoryArtifacts()
    artifacts.content = {name: b64decode(content) for name, content in written["artifacts"].items()}
    codec = codec_over(artifacts, key=key)
    record = b64decode(written["record"])
    codec.verify_outputs(record, bound_to=b"golden")
    read = codec.decode_outputs(record, MISSING, bound_to=b"golden")
    for (name, expected), value in zip(values().items(), read, strict=True):
        assert value is MISSING if expected is MISSING else is_equal(value, expected), name
    with pytest.raises(DamagedArtifactError):
        codec.decode_outputs(record, MISSING)


def test_version_1_of_a_state_value_is_read(golden: Any) -> None:
    assert codec_over().decode_value("watermark", b64decode(golden["value"])) == {"day": 3}


def test_signatures_of_version_1_are_still_checked(golden: Any) -> None:
    record = b64decode(golden["signed"]["record"])
    with pytest.raises(UntrustedArtifactError):
        codec_over(key=b"another").decode_outputs(record, MISSING, bound_to=b"golden")


def test_what_is_written_now_is_still_version_1(golden: Any) -> None:
    """If this fails, the format has changed: count the version up, and keep a golden file of each."""
    plain = {name: value for name, value in values().items() if name in ("none", "integer", "plain", "bytes", "array")}
    record = codec_over().encode_outputs(list(plain), list(plain.values()), MISSING, bound_to=b"golden").record
    assert record == b64decode(golden["plain"])

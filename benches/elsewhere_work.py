"""What worker processes and event loops are given to do by `elsewhere.py`: importable by all of them."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from execution_dataflow import ExecutionContext

MB = 1 << 20


def nothing(x: int) -> int:
    return x


async def yields(x: int) -> int:
    await asyncio.sleep(0)
    return x


def make(megabytes: int) -> NDArray[np.uint8]:
    """Return an array that is written once, as any result of numpy is."""
    return np.full(megabytes * MB, 7, np.uint8)


def make_shared(context: ExecutionContext, megabytes: int) -> NDArray[np.uint8]:
    """As `make`, in memory that passes between processes as it is."""
    array: NDArray[np.uint8] = context.empty((megabytes * MB,), np.uint8)
    array.fill(7)
    return array


def read(array: Any) -> int:
    """Return what shows that the whole array has come."""
    return int(array[0]) + int(array[-1]) + int(array.nbytes)


def expected(megabytes: int) -> int:
    return 14 + megabytes * MB
